import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { connect, createServer as createTcpServer } from "node:net";
import { dirname } from "node:path";

/**
 * Runs inside bubblewrap in place of the server that Cloudflare's image brings, and answers the few of its routes
 * that the driver uses, as packages/sandbox-container of the Sandbox SDK does.
 */

const ENVIRONMENT = {
  PATH: "/opt/node/bin:/usr/local/bin:/usr/bin:/bin",
  HOME: "/root",
  LANG: "C.UTF-8",
  MPLBACKEND: "agg",
  MPLCONFIGDIR: "/tmp/matplotlib",
  PYTHONDONTWRITEBYTECODE: "1",
};

/** @param {{ command: string, env?: Record<string, string> }} request */
function start({ command, env }) {
  return spawn("/bin/bash", ["-c", command], {
    cwd: "/workspace",
    env: { ...ENVIRONMENT, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
}

/** @param {any} request */
async function execute(request) {
  const child = start(request);
  const [stdout, stderr, exitCode] = await Promise.all([
    textOf(child.stdout),
    textOf(child.stderr),
    new Promise((resolve) => child.on("close", resolve)),
  ]);
  return { success: exitCode === 0, exitCode, stdout, stderr, command: request.command, timestamp: now() };
}

/** @param {any} request @param {import("node:http").ServerResponse} response */
function stream(request, response) {
  const say = (/** @type {object} */ event) =>
    response.write(`data: ${JSON.stringify({ ...event, timestamp: now() })}\n\n`);
  response.writeHead(200, { "content-type": "text/event-stream" });
  const child = start(request);
  say({ type: "start", command: request.command });
  for (const type of /** @type {const} */ (["stdout", "stderr"])) {
    child[type].setEncoding("utf8").on("data", (data) => say({ type, data }));
  }
  child.on("close", (exitCode) => {
    say({ type: "complete", exitCode });
    response.end();
  });
}

/** @param {any} request */
async function write({ path, content, encoding }) {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content, encoding === "base64" ? "base64" : "utf8");
  return { success: true, path, timestamp: now() };
}

/** @param {import("node:stream").Readable} readable */
async function textOf(readable) {
  const chunks = [];
  for await (const chunk of readable) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const now = () => new Date().toISOString();

/** The Worker makes of it what the platform says where nobody listens. */
const REFUSED = "HTTP/1.1 502 Refused\r\nX-Stand-In-Refused: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/** @param {import("node:net").NetConnectOpts} to */
const relay = (to) =>
  createTcpServer({ allowHalfOpen: true }, (from) => {
    const onward = connect({ ...to, allowHalfOpen: true });
    from.on("error", () => onward.destroy()).pipe(onward);
    onward.on("error", (error) => {
      if ("code" in error && error.code === "ECONNREFUSED") from.end(REFUSED);
      else from.destroy();
    });
    onward.pipe(from);
  });

/** The port that the image exposes for the guest's own server, and those of the contract's servers. */
for (const port of [3777, 4101, 4102, 4103]) relay({ host: "127.0.0.1", port }).listen(`/relay/${port}`);
/** What leaves for a host that the platform intercepts, by its name in /etc/hosts. */
relay({ path: "/relay/outside" }).listen(80, "127.0.0.1");

createServer(async (request, response) => {
  const body = request.method === "POST" ? JSON.parse((await textOf(request)) || "{}") : {};
  if (request.url === "/api/execute/stream") return stream(body, response);
  const routes = {
    "/api/execute": execute,
    "/api/write": write,
    "/api/session/create": async () => ({ success: true, id: body.id, timestamp: now() }),
    "/api/version": async () => ({ success: true, version: "stand-in", timestamp: now() }),
    "/api/ping": async () => ({ success: true, message: "pong", timestamp: now() }),
  };
  const [, route] = Object.entries(routes).find(([path]) => path === request.url) ?? [];
  if (route === undefined) {
    response.writeHead(404).end();
    return;
  }
  const answer = await route(body).catch((/** @type {unknown} */ error) => ({
    code: "INTERNAL_ERROR",
    message: String(error),
    context: {},
    httpStatus: 500,
  }));
  response
    .writeHead("success" in answer ? 200 : 500, { "content-type": "application/json" })
    .end(JSON.stringify(answer));
}).listen("/relay/3000");
