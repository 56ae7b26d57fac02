import { once } from "node:events";
import { stat } from "node:fs/promises";
import { connect } from "node:net";
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { askProxy, openTunnel, readUntil, serve, startTestProxy } from "./loopback.ts";

const PUBLIC = "93.184.216.34";

test("a public page comes through with its headers, and hop-by-hop ones stay behind", async () => {
  await using web = await serve((request, response) => {
    response.writeHead(201, { "set-cookie": ["a=1", "b=2"], connection: "x-hop", "x-hop": "1", "x-kept": "yes" });
    request.pipe(response);
  });
  await using outside = await startTestProxy({
    names: { "site.test": [[PUBLIC]] },
    world: { [`${PUBLIC}:80`]: web.port },
  });
  const answer = await askProxy(outside.proxy, "http://site.test/a/../b?q=1", {
    method: "POST",
    body: "hello",
    headers: {
      "proxy-authorization": "Basic x",
      connection: "x-secret",
      "x-secret": "1",
      te: "trailers",
      accept: "text/html",
    },
  });
  expect(answer).toMatchObject({
    status: 201,
    body: "hello",
    headers: { "set-cookie": ["a=1", "b=2"], "x-kept": "yes" },
  });
  expect(answer.headers).not.toHaveProperty("x-hop");
  const [seen] = web.seen;
  expect(seen?.url).toBe("/b?q=1");
  expect(seen?.headers).toEqual({ host: "site.test", connection: "close", accept: "text/html", "content-length": "5" });
  expect(outside.dialled).toEqual([`${PUBLIC}:80`]);
  expect(outside.logged).toEqual([]);
});

test("a name that turns private after its check is connected to where it was checked", async () => {
  await using web = await serve((_request, response) => response.end("public"));
  await using outside = await startTestProxy({
    names: { "rebind.test": [[PUBLIC], ["127.0.0.1"]] },
    world: { [`${PUBLIC}:80`]: web.port },
  });
  expect(await askProxy(outside.proxy, "http://rebind.test/")).toMatchObject({ status: 200, body: "public" });
  expect(await askProxy(outside.proxy, "http://rebind.test/")).toMatchObject({ status: 403 });
  expect(outside.resolved).toEqual(["rebind.test", "rebind.test"]);
  expect(outside.dialled).toEqual([`${PUBLIC}:80`]);
});

test("a name with one private address among public ones is refused whole", async () => {
  await using outside = await startTestProxy({ names: { "mixed.test": [[PUBLIC, "10.0.0.1"]] } });
  const answer = await askProxy(outside.proxy, "http://mixed.test/?token=secret");
  expect(answer.status).toBe(403);
  expect(answer.body).toBe(
    "mixed.test (10.0.0.1) is a private address; to open it, start Pincer with --allow-host mixed.test:80 (in a deployment, list it in ALLOWED_HOSTS).\n",
  );
  expect(outside.dialled).toEqual([]);
  expect(outside.logged).toEqual(["egress browser: refused GET mixed.test"]);
});

test("a redirect to a private address is refused when it is followed", async () => {
  await using web = await serve((_request, response) =>
    response.writeHead(302, { location: "http://192.168.1.1/admin" }).end(),
  );
  await using outside = await startTestProxy({
    names: { "site.test": [[PUBLIC]] },
    world: { [`${PUBLIC}:80`]: web.port },
  });
  const redirect = await askProxy(outside.proxy, "http://site.test/");
  expect(redirect).toMatchObject({ status: 302, headers: { location: "http://192.168.1.1/admin" } });
  expect(await askProxy(outside.proxy, redirect.headers.location ?? "")).toMatchObject({ status: 403 });
  expect(outside.dialled).toEqual([`${PUBLIC}:80`]);
});

test.each([
  "127.0.0.1:443",
  "0x7f000001:443",
  "2130706433:443",
  "127.1:443",
  "[::1]:443",
  "[::ffff:10.0.0.1]:443",
  "[64:ff9b::10.0.0.1]:443",
  "[fe80::1]:443",
  "[fd00:ec2::254]:80",
  "[::]:80",
  "169.254.169.254:80",
  "localhost:22",
  "LOCALHOST.:22",
  "db.internal:5432",
  "rebound.test:443",
  "example.com",
  "example.com:0",
  "user@127.0.0.1:443",
  "127.0.0.1:443/x:443",
])("CONNECT %s is refused and nothing is connected to", async (target) => {
  await using outside = await startTestProxy({
    names: { "rebound.test": [["::ffff:172.16.0.1"]], localhost: [["127.0.0.1"]] },
  });
  const { head, socket } = await openTunnel(outside.proxy, target);
  expect(head).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n/);
  if (!socket.closed) await once(socket, "close");
  expect(outside.dialled).toEqual([]);
});

test("an allow-listed loopback port is open, and its neighbour is not", async () => {
  await using open = await serve((_request, response) => response.end("open"));
  await using closed = await serve((_request, response) => response.end("closed"));
  await using outside = await startTestProxy({
    allowedHosts: [`localhost:${open.port}`],
    names: { localhost: [["127.0.0.1"]] },
  });
  expect(await askProxy(outside.proxy, `http://localhost:${open.port}/`)).toMatchObject({ status: 200, body: "open" });
  expect(await askProxy(outside.proxy, `http://localhost:${closed.port}/`)).toMatchObject({ status: 403 });
  expect(await askProxy(outside.proxy, `http://127.0.0.1:${open.port}/`)).toMatchObject({ status: 403 });
  expect(closed.seen).toEqual([]);
});

test("a tunnel carries bytes both ways and hands over all of them before it closes", async () => {
  const megabytes = "x".repeat(3_000_000);
  await using web = await serve((_request, response) => response.end(megabytes));
  await using outside = await startTestProxy({
    names: { "site.test": [[PUBLIC]] },
    world: { [`${PUBLIC}:8443`]: web.port },
  });
  const { head, socket } = await openTunnel(outside.proxy, "site.test:8443");
  expect(head).toBe("HTTP/1.1 200 Connection Established\r\n\r\n");
  socket.write("GET / HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n");
  const answered = await readUntil(socket, "never");
  expect(answered.length - answered.indexOf("\r\n\r\n") - 4).toBe(megabytes.length);
});

test.each(["tunnel", "absolute form"])("a WebSocket passes through the %s", async (way) => {
  await using web = await serve((_request, response) => response.writeHead(426).end());
  web.server.on("upgrade", (request, socket, head) => {
    const accept = createHash("sha1")
      .update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest("base64");
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    socket.write(head);
    socket.pipe(socket);
  });
  await using outside = await startTestProxy({
    names: { "chat.test": [[PUBLIC]] },
    world: { [`${PUBLIC}:80`]: web.port },
  });
  const socket =
    way === "tunnel" ? (await openTunnel(outside.proxy, "chat.test:80")).socket : connect(outside.proxy.socketPath);
  const target = way === "tunnel" ? "/chat" : "http://chat.test/chat";
  socket.write(
    `GET ${target} HTTP/1.1\r\nHost: chat.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  const opened = await readUntil(socket, "\r\n\r\n");
  expect(opened).toContain("HTTP/1.1 101 ");
  expect(opened).toContain("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  socket.write("ping");
  expect(await readUntil(socket, "ping")).toBe("ping");
  socket.destroy();
});

test("a WebSocket to a private address is refused", async () => {
  await using outside = await startTestProxy({});
  const socket = connect(outside.proxy.socketPath);
  socket.write("GET http://127.0.0.1:9/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  expect(await readUntil(socket, "\r\n\r\n")).toMatch(/^HTTP\/1\.1 403 /);
  expect(outside.dialled).toEqual([]);
});

test("of the suite itself share links can be read, in every spelling of loopback, and nothing else", async () => {
  await using suite = await serve((request, response) =>
    response.end(`suite ${request.url} for ${request.headers.host}`),
  );
  const { port } = suite;
  await using outside = await startTestProxy({
    suiteOrigin: `http://localhost:${port}`,
    allowedHosts: [`localhost:${port}`, `127.0.0.1:${port}`, `alias.test:${port}`],
    names: { localhost: [["127.0.0.1"]], "alias.test": [["127.0.0.1"]] },
  });
  const shared = `suite /s/abc for localhost:${port}`;
  expect(await askProxy(outside.proxy, `http://localhost:${port}/s/abc`)).toMatchObject({ status: 200, body: shared });
  expect(await askProxy(outside.proxy, `http://127.0.0.1:${port}/s/abc`)).toMatchObject({ status: 200, body: shared });
  expect(await askProxy(outside.proxy, `http://localhost:${port}/s/abc`, { method: "POST" })).toMatchObject({
    status: 403,
  });
  const upgrade = connect(outside.proxy.socketPath);
  upgrade.write(
    `GET http://localhost:${port}/s/abc HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
  );
  expect(await readUntil(upgrade, "\r\n\r\n")).toMatch(/^HTTP\/1\.1 403 /);
  for (const path of ["/mcp", "/s", "/s/../mcp", "/s/%2e%2e/mcp", "/s/..%5cmcp/../../mcp", "//s/", "/S/abc"]) {
    const answer = await askProxy(outside.proxy, `http://localhost:${port}${path}`);
    expect.soft(answer, path).toMatchObject({ status: 403 });
  }
  expect(await askProxy(outside.proxy, `http://alias.test:${port}/s/abc`)).toMatchObject({ status: 403 });
  for (const host of ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "alias.test"]) {
    expect.soft((await openTunnel(outside.proxy, `${host}:${port}`)).head, host).toMatch(/^HTTP\/1\.1 403 /);
  }
  expect(suite.seen.map((request) => request.url)).toEqual(["/s/abc", "/s/abc"]);
});

test("the browser reaches previews of a local suite under their own names, through a tunnel too, and a sandbox does not", async () => {
  await using suite = await serve((request, response) =>
    response.end(`suite ${request.method} ${request.url} for ${request.headers.host}`),
  );
  const { port } = suite;
  const suiteOrigin = `http://localhost:${port}`;
  const preview = `${"0a".repeat(16)}-${"f".repeat(30)}.localhost:${port}`;
  const names = { localhost: [["127.0.0.1"]] };
  await using outside = await startTestProxy({ suiteOrigin, names });
  expect(await askProxy(outside.proxy, `http://${preview}/mcp?a=1`, { method: "POST" })).toMatchObject({
    ...{ status: 200, body: `suite POST /mcp?a=1 for ${preview}` },
  });
  const through = async (lines: string): Promise<string> => {
    const tunnel = await openTunnel(outside.proxy, preview);
    expect(tunnel.head).toMatch(/^HTTP\/1\.1 200 /);
    tunnel.socket.write(`${lines}\r\nConnection: close\r\n\r\n`);
    return await readUntil(tunnel.socket, "\r\n\r\n");
  };
  expect(await through(`GET /chat HTTP/1.1\r\nHost: ${preview}`)).toMatch(/^HTTP\/1\.1 200 /);
  for (const lines of [
    `GET /mcp HTTP/1.1\r\nHost: localhost:${port}`,
    `GET http://localhost:${port}/s/abc HTTP/1.1\r\nHost: ${preview}`,
    `GET /mcp HTTP/1.1\r\nHost: ${preview}\r\nHost: localhost:${port}`,
    `CONNECT ${preview} HTTP/1.1\r\nHost: ${preview}`,
  ]) {
    expect.soft(await through(lines), lines).toMatch(/^HTTP\/1\.1 4\d\d /);
  }
  expect(suite.seen.map(({ url }) => url)).toEqual(["/mcp?a=1", "/chat"]);
  await using inside = await startTestProxy({ mode: "sandbox", suiteOrigin, names, allowedHosts: [preview] });
  expect(await askProxy(inside.proxy, `http://${preview}/`)).toMatchObject({ status: 403 });
  expect((await openTunnel(inside.proxy, preview)).head).toMatch(/^HTTP\/1\.1 403 /);
});

test("in sandbox mode only what is listed is open, with the ports that it is listed for", async () => {
  await using web = await serve((_request, response) => response.end("listed"));
  await using suite = await serve((_request, response) => response.end("suite"));
  await using outside = await startTestProxy({
    mode: "sandbox",
    allowedHosts: ["listed.test", "private.test"],
    suiteOrigin: `http://127.0.0.1:${suite.port}`,
    names: { "listed.test": [[PUBLIC]], "other.test": [[PUBLIC]], "private.test": [["10.0.0.1"]] },
    world: { [`${PUBLIC}:80`]: web.port },
  });
  expect(await askProxy(outside.proxy, "http://listed.test/")).toMatchObject({ status: 200, body: "listed" });
  expect(await askProxy(outside.proxy, "http://listed.test:8080/")).toMatchObject({ status: 403 });
  expect(await askProxy(outside.proxy, "http://other.test/")).toMatchObject({
    status: 403,
    body: "The sandbox may not reach other.test:80; to open it, start Pincer with --allow-host other.test:80.\n",
  });
  expect(await askProxy(outside.proxy, "http://private.test/")).toMatchObject({ status: 403 });
  expect(await askProxy(outside.proxy, `http://127.0.0.1:${suite.port}/s/abc`)).toMatchObject({ status: 403 });
  expect(outside.dialled).toEqual([`${PUBLIC}:80`]);
});

test("what cannot be reached is told apart from what is refused", async () => {
  const gone = await serve(() => {});
  await gone[Symbol.asyncDispose]();
  await using outside = await startTestProxy({
    names: { "down.test": [[PUBLIC]] },
    world: { [`${PUBLIC}:80`]: gone.port },
  });
  expect(await askProxy(outside.proxy, "http://nowhere.test/")).toMatchObject({
    status: 502,
    body: "nowhere.test has no address; check its spelling.\n",
  });
  expect(await askProxy(outside.proxy, "http://down.test/")).toMatchObject({
    status: 502,
    body: "down.test:80 does not answer; check that it is running.\n",
  });
});

test.each([
  ["an origin-form request", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "403"],
  ["another scheme", "GET ftp://site.test/ HTTP/1.1\r\nHost: x\r\n\r\n", "403"],
  ["headers over 64 KB", `GET http://site.test/ HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(70_000)}\r\n\r\n`, "431"],
  [
    "two framings of one body",
    "POST http://site.test/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "400",
  ],
  ["noise", "\x16\x03\x01\x02\x00\x01\r\n\r\n", "400"],
])("%s gets an answer, and the next request works", async (_what, bytes, status) => {
  await using web = await serve((_request, response) => response.end("fine"));
  await using outside = await startTestProxy({
    names: { "site.test": [[PUBLIC]] },
    world: { [`${PUBLIC}:80`]: web.port },
  });
  const socket = connect(outside.proxy.socketPath);
  socket.on("error", () => {});
  socket.write(bytes);
  expect(await readUntil(socket, "\r\n\r\n")).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect(web.seen).toEqual([]);
  expect(await askProxy(outside.proxy, "http://site.test/")).toMatchObject({ status: 200, body: "fine" });
});

test.each([
  ["never ends", "GET http://site.test/ HTTP/1.1\r\nHost: x\r\nX: "],
  ["never begins", ""],
])("a request whose head %s is cut off", async (_how, bytes) => {
  await using outside = await startTestProxy({ timeouts: { headersMs: 200 } });
  const socket = connect(outside.proxy.socketPath);
  socket.write(bytes);
  expect(await readUntil(socket, "\r\n\r\n")).toMatch(/^HTTP\/1\.1 408 /);
});

test("a tunnel and an answer in which nothing moves are cut off", async () => {
  await using silent = await serve(() => {});
  await using outside = await startTestProxy({
    names: { "silent.test": [[PUBLIC]] },
    world: { [`${PUBLIC}:80`]: silent.port },
    timeouts: { idleMs: 1_000 },
  });
  const { head, socket } = await openTunnel(outside.proxy, "silent.test:80");
  expect(head).toMatch(/^HTTP\/1\.1 200 /);
  await once(socket, "close");
  expect(await askProxy(outside.proxy, "http://silent.test/")).toMatchObject({ status: 502 });
});

test("a server that answers nonsense is a 502, and the proxy goes on", async () => {
  await using web = await serve((request) => request.socket.end("HTTP/1.1 000 \x01\r\nX: \x02\r\n\r\n"));
  await using outside = await startTestProxy({
    names: { "odd.test": [[PUBLIC]] },
    world: { [`${PUBLIC}:80`]: web.port },
  });
  expect(await askProxy(outside.proxy, "http://odd.test/")).toMatchObject({ status: 502 });
  expect(await askProxy(outside.proxy, "http://odd.test/")).toMatchObject({ status: 502 });
});

test("when the client goes away, the server's connection is closed", async () => {
  await using web = await serve((_request, response) => void response.write("first"));
  await using outside = await startTestProxy({
    names: { "slow.test": [[PUBLIC]] },
    world: { [`${PUBLIC}:80`]: web.port },
  });
  const socket = connect(outside.proxy.socketPath);
  socket.write("GET http://slow.test/ HTTP/1.1\r\nHost: x\r\n\r\n");
  await readUntil(socket, "first");
  const [seen] = web.seen;
  if (seen === undefined) throw new Error("The server was not asked.");
  socket.destroy();
  await once(seen.socket, "close");
});

test("requests that come on one connection at once go on one after the other, and too many not at all", async () => {
  let underWay = 0;
  let most = 0;
  await using web = await serve((request, response) => {
    most = Math.max(most, (underWay += 1));
    // Long enough for the next to come, if it did not wait.
    setTimeout(() => {
      underWay -= 1;
      response.end(`answer to ${request.url}\n`);
    }, 100);
  });
  await using outside = await startTestProxy({
    names: { "site.test": [[PUBLIC]] },
    world: { [`${PUBLIC}:80`]: web.port },
  });
  const asking = (path: string): string => `GET http://site.test${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
  const socket = connect(outside.proxy.socketPath);
  socket.write(asking("/1") + asking("/2") + asking("/3"));
  const text = await readUntil(socket, "answer to /3");
  expect(text.match(/answer to .*/g)).toEqual(["answer to /1", "answer to /2", "answer to /3"]);
  socket.destroy();
  const flood = connect(outside.proxy.socketPath);
  flood.write(asking("/flood").repeat(3_000));
  flood.resume();
  const [reset] = await once(flood, "error");
  expect(reset).toMatchObject({ code: expect.stringMatching(/^(ECONNRESET|EPIPE)$/) });
  expect(most).toBe(1);
  expect(web.seen.length).toBeLessThan(10);
});

test("the socket is its user's alone, and is gone when the proxy has closed", async () => {
  const outside = await startTestProxy({});
  const { socketPath } = outside.proxy;
  expect((await stat(socketPath)).mode & 0o777).toBe(0o600);
  await openTunnel(outside.proxy, "127.0.0.1:9");
  await outside[Symbol.asyncDispose]();
  await expect(stat(socketPath)).rejects.toThrow("ENOENT");
});
