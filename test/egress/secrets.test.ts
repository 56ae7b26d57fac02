import { createHash } from "node:crypto";
import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { Duplex } from "node:stream";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import { expect, test } from "vitest";
import { createAuthority } from "../../container/local/egress/authority.ts";
import {
  answerTo,
  askProxy,
  connectToProxy,
  type LoopbackServer,
  openTunnel,
  readUntil,
  serve,
  startTestProxy,
  type TestProxy,
} from "./loopback.ts";

const PUBLIC = "93.184.216.34";
const SECRET = "Bearer key-that-nobody-inside-may-see";
const SECRETS = [{ host: "api.test", port: 443, headers: { authorization: SECRET } }];

const worldAuthority = await createAuthority("Test world");
const CERTIFICATE = await worldAuthority.issue("api.test");

interface World extends AsyncDisposable {
  readonly api: LoopbackServer;
  readonly outside: TestProxy;
}

/** `api.test:443`, to which requests carry the secret, and a proxy that knows who vouches for it. */
async function startWorld(
  listener: Parameters<typeof serve>[0] = (request, response) => response.end(`you asked for ${request.url}`),
  options: Parameters<typeof startTestProxy>[0] & { readonly certificate?: typeof CERTIFICATE } = {},
): Promise<World> {
  const { certificate = CERTIFICATE, ...given } = options;
  const api = await serve(listener, certificate);
  const outside = await startTestProxy({
    mode: "sandbox",
    allowedHosts: ["api.test", "api.test:8443", "other.test"],
    names: { "api.test": [[PUBLIC]], "other.test": [[PUBLIC]] },
    world: { [`${PUBLIC}:443`]: api.port, [`${PUBLIC}:8443`]: api.port, [`${PUBLIC}:80`]: api.port },
    secrets: SECRETS,
    roots: [worldAuthority.certificate],
    ...given,
  });
  return {
    api,
    outside,
    [Symbol.asyncDispose]: async () => {
      await outside[Symbol.asyncDispose]();
      await api[Symbol.asyncDispose]();
    },
  };
}

/** TLS through the proxy, as a program in the sandbox speaks it. */
async function openTls(outside: TestProxy, target: string, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const { socket, head } = await openTunnel(outside.proxy, target);
  expect(head).toMatch(/^HTTP\/1\.1 200 /);
  const ca = outside.proxy.caBundle ?? worldAuthority.certificate;
  const tls = connectTls({ socket, servername: "api.test", ca, ...options });
  await once(tls, "secureConnect");
  return tls;
}

async function ask(
  tls: TLSSocket,
  path: string,
  headers: Record<string, string> = {},
  body?: string,
): Promise<{ readonly status: number; readonly body: string }> {
  const asked = httpRequest({
    createConnection: () => tls,
    path,
    method: body === undefined ? "GET" : "POST",
    headers: { host: "api.test", ...headers },
  });
  asked.end(body);
  const { status, body: said } = await answerTo(asked);
  return { status, body: said };
}

test("a request to the host carries the secret, in place of what the client sent under that name", async () => {
  await using world = await startWorld((request, response) => request.pipe(response));
  const tls = await openTls(world.outside, "api.test:443");
  const headers = { Authorization: "Bearer mine", "x-kept": "yes", connection: "authorization" };
  expect(await ask(tls, "/v1/a?q=1", headers, "hello")).toEqual({ status: 200, body: "hello" });
  const [seen] = world.api.seen;
  expect(seen?.url).toBe("/v1/a?q=1");
  expect(seen?.socket).toHaveProperty("servername", "api.test");
  expect(seen?.headersDistinct).toEqual({
    host: ["api.test"],
    connection: ["close"],
    "x-kept": ["yes"],
    authorization: [SECRET],
    "content-length": ["5"],
  });
  expect(world.outside.dialled).toEqual([`${PUBLIC}:443`]);
  expect(world.outside.logged).toEqual([]);
});

test("a tunnel carries several requests, each with the secret, in HTTP/1.1 whatever else the client offers", async () => {
  await using world = await startWorld();
  const tls = await openTls(world.outside, "API.test.:443", { ALPNProtocols: ["h2", "http/1.1"] });
  expect(tls.alpnProtocol).toBe("http/1.1");
  const bytes =
    "GET /1 HTTP/1.1\r\nHost: API.test:443\r\n\r\nGET /2 HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n";
  tls.write(bytes);
  const answered = await readUntil(tls, "never");
  expect(answered).toMatch(/you asked for \/1[^]*you asked for \/2/);
  expect(world.api.seen.map(({ headers }) => headers.authorization)).toEqual([SECRET, SECRET]);
});

test("a client hello that comes in one piece with CONNECT is read", async () => {
  await using world = await startWorld();
  const socket = connectToProxy(world.outside.proxy);
  socket.on("error", () => {});
  let isFirst = true;
  const eager = new Duplex({
    read: () => {},
    write: (chunk: Uint8Array, _encoding, done) => {
      socket.cork();
      if (isFirst) socket.write("CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n");
      isFirst = false;
      socket.write(chunk, () => done());
      socket.uncork();
    },
  });
  const established = "HTTP/1.1 200 Connection Established\r\n\r\n";
  socket.once("data", (answer: Uint8Array) => {
    expect(new TextDecoder().decode(answer.subarray(0, established.length))).toBe(established);
    eager.push(answer.subarray(established.length));
    socket.on("data", (chunk) => eager.push(chunk));
  });
  const tls = connectTls({ socket: eager, servername: "api.test", ca: world.outside.proxy.caBundle });
  expect(await ask(tls, "/early")).toEqual({ status: 200, body: "you asked for /early" });
  socket.destroy();
});

test("a WebSocket to the host opens with the secret, and carries bytes both ways", async () => {
  await using world = await startWorld();
  world.api.server.on("upgrade", (request, socket) => {
    world.api.seen.push(request);
    const accept = createHash("sha1")
      .update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest("base64");
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    socket.pipe(socket);
  });
  const tls = await openTls(world.outside, "api.test:443");
  tls.write(
    "GET /chat HTTP/1.1\r\nHost: api.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 4\r\n" +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  expect(await readUntil(tls, "\r\n\r\n")).toContain("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  tls.write("ping");
  expect(await readUntil(tls, "ping")).toBe("ping");
  expect(world.api.seen.map(({ headers }) => headers)).toMatchObject([{ authorization: SECRET, upgrade: "websocket" }]);
  expect(world.api.seen[0]?.headers).not.toHaveProperty("content-length");
  tls.destroy();
});

test("bodies stream through, both ways and before they are whole", async () => {
  await using world = await startWorld((request, response) => {
    response.write("ready;");
    request.pipe(response);
  });
  const tls = await openTls(world.outside, "api.test:443");
  tls.write(
    "POST / HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n4\r\none;\r\n",
  );
  expect(await readUntil(tls, "one;")).toMatch(/^HTTP\/1\.1 100 Continue\r\n[^]*HTTP\/1\.1 200 OK[^]*ready;[^]*one;/);
  const megabytes = "x".repeat(3_000_000);
  tls.write(`${megabytes.length.toString(16)}\r\n${megabytes}\r\n0\r\n\r\n`);
  const rest = await readUntil(tls, "0\r\n\r\n");
  expect(rest.replaceAll(/[^x]/g, "")).toHaveLength(megabytes.length);
  tls.destroy();
});

test("another host, another port, plain http and the browser carry no secret, and their TLS is not read", async () => {
  const other = await worldAuthority.issue("other.test");
  const { certificate: root } = worldAuthority;
  await using world = await startWorld();
  await using elsewhere = await startWorld(undefined, { certificate: other });
  await using browser = await startWorld(undefined, { mode: "browser" });
  const certificateOf = (tls: TLSSocket) => tls.getPeerX509Certificate()?.issuer;

  const neighbour = await openTls(elsewhere.outside, "other.test:443", { servername: "other.test", ca: root });
  expect(certificateOf(neighbour)).toBe("CN=Test world");
  expect(await ask(neighbour, "/", { host: "other.test" })).toMatchObject({ status: 200 });

  const otherPort = await openTls(world.outside, "api.test:8443", { ca: root });
  expect(certificateOf(otherPort)).toBe("CN=Test world");
  expect(await ask(otherPort, "/", { host: "api.test:8443" })).toMatchObject({ status: 200 });

  const page = await openTls(browser.outside, "api.test:443", { ca: root });
  expect(certificateOf(page)).toBe("CN=Test world");
  expect(await ask(page, "/")).toMatchObject({ status: 200 });

  await using plain = await serve((_request, response) => response.end("plain"));
  await using onPort80 = await startTestProxy({
    ...{ mode: "sandbox", allowedHosts: ["api.test", "api.test:8443"], names: { "api.test": [[PUBLIC]] } },
    ...{ world: { [`${PUBLIC}:80`]: plain.port, [`${PUBLIC}:443`]: plain.port }, secrets: SECRETS },
  });
  expect(await askProxy(onPort80.proxy, "http://api.test/")).toMatchObject({ status: 200, body: "plain" });
  expect(await askProxy(onPort80.proxy, "http://api.test:443/")).toMatchObject({ status: 200, body: "plain" });
  expect(await askProxy(onPort80.proxy, "https://api.test/")).toMatchObject({ status: 403 });

  const seen = [...world.api.seen, ...elsewhere.api.seen, ...browser.api.seen, ...plain.seen];
  expect(seen).toHaveLength(5);
  expect(seen.map(({ headers }) => headers.authorization)).toEqual(seen.map(() => undefined));
});

test("a redirect is handed to the client, and what it asks of another host then carries nothing", async () => {
  await using world = await startWorld((_request, response) =>
    response.writeHead(302, { location: "https://other.test/stolen" }).end(),
  );
  await using elsewhere = await startWorld(undefined, { certificate: await worldAuthority.issue("other.test") });
  expect(await ask(await openTls(world.outside, "api.test:443"), "/")).toEqual({ status: 302, body: "" });
  const followed = await openTls(elsewhere.outside, "other.test:443", {
    ...{ servername: "other.test", ca: worldAuthority.certificate },
  });
  await ask(followed, "/stolen", { host: "other.test" });
  expect(elsewhere.api.seen[0]?.headers).not.toHaveProperty("authorization");
});

test.each([
  ["a Host of another", "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n", "403"],
  ["a Host with another port", "GET / HTTP/1.1\r\nHost: api.test:8443\r\n\r\n", "403"],
  ["two Hosts", "GET / HTTP/1.1\r\nHost: api.test\r\nHost: other.test\r\n\r\n", "403"],
  ["an odd Host", "GET / HTTP/1.1\r\nHost: api.test@other.test\r\n\r\n", "403"],
  ["an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "403"],
  ["no Host", "GET / HTTP/1.1\r\n\r\n", "400"],
  ["no Host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "403"],
  ["the absolute form", "GET http://other.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n", "403"],
  ["the absolute form of the host itself", "GET https://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n", "403"],
  ["CONNECT", "CONNECT other.test:443 HTTP/1.1\r\nHost: api.test\r\n\r\n", "403"],
  ["CONNECT to itself", "CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n", "403"],
  ["OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: api.test\r\n\r\n", "403"],
  ["TRACE", "TRACE / HTTP/1.1\r\nHost: api.test\r\n\r\n", "403"],
  [
    "a WebSocket for another Host",
    "GET / HTTP/1.1\r\nHost: other.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "403",
  ],
  ["two lengths", "POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "400"],
  ["a length that is none", "POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: +1\r\n\r\na", "400"],
  [
    "a length and chunks",
    "POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "400",
  ],
  ["an odd encoding", "POST / HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "400"],
  ["a bare line feed", "GET / HTTP/1.1\r\nHost: api.test\nX: 1\r\n\r\n", "400"],
  ["a folded header", "GET / HTTP/1.1\r\nHost: api.test\r\nX: 1\r\n Authorization: 2\r\n\r\n", "400"],
  ["headers over 64 KB", `GET / HTTP/1.1\r\nHost: api.test\r\nX: ${"x".repeat(70_000)}\r\n\r\n`, "431"],
  ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"],
])("in the tunnel %s is refused, and nothing is connected to", async (_what, bytes, status) => {
  await using world = await startWorld();
  const tls = await openTls(world.outside, "api.test:443");
  tls.write(bytes);
  const answered = await readUntil(tls, "\r\n\r\n");
  expect(answered).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect(answered).not.toContain(SECRET);
  expect(world.outside.dialled).toEqual([]);
  expect(world.outside.logged.join("\n")).not.toContain(SECRET);
  tls.destroy();
});

test.each([
  ["GET with a body whose length is said to be the connection's", "GET", "Connection: content-length\r\n"],
  ["POST with the same", "POST", "Connection: content-length\r\n"],
  ["POST with a body", "POST", ""],
])("%s is one request at the host, not two", async (_what, method, header) => {
  await using world = await startWorld((request, response) => request.pipe(response));
  const hidden = "GET /hidden HTTP/1.1\r\nHost: other.test\r\n\r\n";
  const tls = await openTls(world.outside, "api.test:443");
  tls.write(
    `${method} / HTTP/1.1\r\nHost: api.test\r\n${header}Connection: close\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`,
  );
  expect(await readUntil(tls, "never")).toContain("GET /hidden");
  expect(world.api.seen.map(({ url }) => url)).toEqual(["/"]);
});

test("a client hello for another host, or none at all, gets no answer", async () => {
  await using world = await startWorld();
  const { socket } = await openTunnel(world.outside.proxy, "api.test:443");
  const fronted = connectTls({ socket, servername: "other.test", rejectUnauthorized: false });
  expect(await once(fronted, "secureConnect").catch(String)).toMatch(/disconnected before secure/);
  const { socket: plain } = await openTunnel(world.outside.proxy, "api.test:443");
  plain.write("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n");
  expect(await readUntil(plain, "never")).not.toMatch(/authorization|asked/i);
  expect(world.outside.dialled).toEqual([]);
  expect(world.outside.logged).toEqual(Array(2).fill("egress sandbox: failed TLS api.test"));
});

test("a client that does not trust the proxy's authority is told nothing", async () => {
  await using world = await startWorld();
  const { socket } = await openTunnel(world.outside.proxy, "api.test:443");
  const tls = connectTls({ socket, servername: "api.test", ca: worldAuthority.certificate });
  const [error] = await once(tls, "error");
  expect(error).toMatchObject({ code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" });
  expect(world.outside.dialled).toEqual([]);
});

test.each([
  ["another name", async () => await worldAuthority.issue("other.test")],
  ["an authority that nobody trusts", async () => await (await createAuthority("Test world")).issue("api.test")],
])("a host with a certificate of %s gets no request", async (_what, issue) => {
  await using world = await startWorld(undefined, { certificate: await issue() });
  expect(await ask(await openTls(world.outside, "api.test:443"), "/")).toEqual({
    status: 502,
    body: "api.test did not prove who it is, so that nothing was sent; check its certificate.\n",
  });
  expect(world.api.seen).toEqual([]);
  expect(world.outside.logged).toEqual(["egress sandbox: unreachable GET api.test"]);
});

test("a host that speaks no TLS, or whose name has turned private, gets no request", async () => {
  await using plain = await serve((_request, response) => response.end("plain"));
  await using world = await startWorld(undefined, {
    names: { "api.test": [[PUBLIC], ["10.0.0.1"]] },
    world: { [`${PUBLIC}:443`]: plain.port },
  });
  const tls = await openTls(world.outside, "api.test:443");
  expect(await ask(tls, "/")).toMatchObject({ status: 502 });
  expect(await ask(await openTls(world.outside, "api.test:443"), "/")).toMatchObject({ status: 403 });
  expect(plain.seen).toEqual([]);
  expect(world.outside.dialled).toEqual([`${PUBLIC}:443`]);
});

test("a host that stays silent in the handshake, and a client that does, are given up", async () => {
  await using silent = await serve(() => {});
  silent.server.removeAllListeners("connection");
  await using world = await startWorld(undefined, {
    world: { [`${PUBLIC}:443`]: silent.port },
    timeouts: { headersMs: 2_000 },
  });
  expect(await ask(await openTls(world.outside, "api.test:443"), "/")).toMatchObject({ status: 502 });
  const { socket } = await openTunnel(world.outside.proxy, "api.test:443");
  await once(socket, "close");
});

test("what programs must trust is told where there are secrets, and holds no key", async () => {
  await using world = await startWorld();
  await using without = await startTestProxy({ mode: "sandbox" });
  await using machine = await startTestProxy({ mode: "sandbox", secrets: SECRETS });
  expect(without.proxy.caBundle).toBeUndefined();
  expect(world.outside.proxy.caBundle?.match(/BEGIN [A-Z ]+/g)).toEqual(["BEGIN CERTIFICATE", "BEGIN CERTIFICATE"]);
  expect(new Set(machine.proxy.caBundle?.match(/BEGIN [A-Z ]+/g))).toEqual(new Set(["BEGIN CERTIFICATE"]));
  expect(machine.proxy.caBundle?.match(/BEGIN/g)?.length).toBeGreaterThan(50);
});

test("a host is known by its address as well", async () => {
  await using world = await startWorld(undefined, {
    certificate: await worldAuthority.issue(PUBLIC),
    allowedHosts: [`${PUBLIC}:8443`],
    secrets: [{ host: PUBLIC, port: 8443, headers: { "x-api-key": "k" } }],
  });
  const tls = await openTls(world.outside, `${PUBLIC}:8443`, { servername: "", host: PUBLIC });
  expect(await ask(tls, "/", { host: `${PUBLIC}:8443` })).toMatchObject({ status: 200 });
  expect(world.api.seen[0]?.headers).toMatchObject({ host: `${PUBLIC}:8443`, "x-api-key": "k" });
});
