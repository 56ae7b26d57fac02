import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { Duplex } from "node:stream";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import { expect, test } from "vitest";
import { createAuthority } from "../../container/local/egress/authority.ts";
import {
  askProxy,
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
  const [response] = await once(asked, "response");
  return { status: statusOf(response), body: await textOf(response) };
}

function statusOf(response: IncomingMessage): number {
  return response.statusCode ?? 0;
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return text;
}

test("a request to the host carries the secret, in place of what the client sent under that name", async () => {
  await using world = await startWorld((request, response) => request.pipe(response));
  const tls = await openTls(world.outside, "api.test:443");
  const headers = { Authorization: "Bearer mine", "x-kept": "yes", connection: "authorization" };
  expect(await ask(tls, "/v1/a?q=1", headers, "hello")).toEqual({ status: 200, body: "hello" });
  const [seen] = world.api.seen;
  expect(seen?.url).toBe("/v1/a?q=1");
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
  const socket = connect(world.outside.proxy.socketPath);
  let isFirst = true;
  const eager = new Duplex({
    read: () => {},
    write: (chunk, _encoding, done) => {
      const head = isFirst ? "CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n" : "";
      isFirst = false;
      socket.write(Buffer.concat([Buffer.from(head), chunk]), () => done());
    },
  });
  socket.once("data", (answer) => {
    expect(String(answer)).toBe("HTTP/1.1 200 Connection Established\r\n\r\n");
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
