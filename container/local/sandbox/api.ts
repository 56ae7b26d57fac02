import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import * as z from "zod";
import { type Call, MAX_COMMAND_BODY_BYTES, MAX_FILE_BYTES, pathSchema, type Route } from "./call.ts";
import { codeSchema } from "./context.ts";
import { answerLines, readBytes, readJson, sendBytes, sendJson, sendProblem } from "./http.ts";
import { LiveOutput } from "./live-output.ts";
import { filesSchema, lookForChanges, MOUNT_ROUTES, withFiles } from "./mount-api.ts";
import { PROCESS_ROUTES } from "./process-api.ts";
import { absolute } from "./process.ts";
import { Problem } from "./problem.ts";
import type { Sandboxes } from "./sandboxes.ts";

const codeCallSchema = z.object({ code: codeSchema, files: filesSchema });
const MAX_SNAPSHOT_BYTES = 16 * 1024 * 1024 * 1024;
const portSchema = z.coerce.number().int().min(1).max(65_535);
const hashSchema = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .optional();

const ROUTES: Readonly<Record<string, Route>> = {
  ...PROCESS_ROUTES,
  ...MOUNT_ROUTES,
  "POST code": runCode,
  "GET file": readFile,
  "PUT file": writeFile,
  "POST port/close": async ({ response, query, sandbox }) => {
    sandbox.hangUp(portSchema.parse(query.get("port")));
    sendJson(response, {});
  },
  "POST reset": async ({ response, sandbox }) => {
    await sandbox.reset();
    sendJson(response, {});
  },
};

/** Looking at a sandbox is no use of it: they neither wake it nor keep it awake. */
const LOOKS: Readonly<Record<string, Route>> = {
  "GET processes": async ({ response, sandbox }) => sendJson(response, { processes: await sandbox.processes.list() }),
  "GET contexts": async ({ response, sandbox }) => sendJson(response, { contexts: sandbox.listContexts() }),
  "GET status": async ({ response, sandbox }) => sendJson(response, await sandbox.status()),
  "GET port": async ({ response, query, sandbox }) =>
    sendJson(response, { state: await sandbox.lookAtPort(portSchema.parse(query.get("port"))) }),
};

/** As little use of it as those, but they may take their time, and it has to stay awake for so long. */
const SNAPSHOT_ROUTES: Readonly<Record<string, Route>> = {
  "GET snapshot/look": async ({ response, sandbox }) => sendJson(response, await sandbox.workspace.look()),
  "POST snapshot": async ({ response, sandbox }) => {
    const body = await sandbox.workspace.save();
    response.writeHead(200, { "content-type": "application/octet-stream" });
    await sendBytes(response, body);
  },
  "PUT snapshot": async ({ request, response, sandbox }) =>
    sendJson(response, await sandbox.workspace.restore(readBytes(request, MAX_SNAPSHOT_BYTES))),
  "POST snapshot/none": async ({ response, sandbox }) => sendJson(response, await sandbox.workspace.restore()),
};

const LOCAL = { driver: "local" };

/** Answers one request that has passed the gate. */
export async function answer(request: IncomingMessage, response: ServerResponse, sandboxes: Sandboxes): Promise<void> {
  try {
    const url = new URL(request.url ?? "/", "http://localhost");
    if (request.method === "GET" && url.pathname === "/health") {
      const reason = sandboxes.simulatedBecause;
      return sendJson(response, { status: "ok", ...(reason === undefined ? LOCAL : { driver: "simulated", reason }) });
    }
    const [, id, name] = /^\/sandboxes\/([a-z0-9][\w-]{0,127})\/([a-z/-]+)$/.exec(url.pathname) ?? [];
    const asked = `${request.method} ${name}`;
    if (id !== undefined && (asked === "POST remove" || asked === "POST end")) {
      await (asked === "POST end" ? sandboxes.end(id) : sandboxes.remove(id));
      return sendJson(response, {});
    }
    const [look, snapshot, route] = [LOOKS[asked], SNAPSHOT_ROUTES[asked], ROUTES[asked]];
    if (id === undefined || (look ?? snapshot ?? route) === undefined)
      throw new Problem("not_found", "The sandbox runtime has no such route.");
    const sandbox = await sandboxes.get(id);
    const call = { request, response, query: url.searchParams, sandbox };
    await look?.(call);
    if (snapshot !== undefined) await sandbox.use(async () => await snapshot(call), { isLook: true });
    if (route !== undefined) await sandbox.use(async () => await route(call));
  } catch (error) {
    sendProblem(response, error);
  }
}

async function runCode({ request, response, sandbox }: Call): Promise<void> {
  const input = await readJson(request, codeCallSchema, MAX_COMMAND_BODY_BYTES);
  const mount = await sandbox.mount();
  const { lines, signal } = answerLines(response);
  const live = new LiveOutput((output) => lines.send({ output }));
  const run = await withFiles(mount, input.files, async () => ({ result: sandbox.runCode(input.code, live, signal) }));
  const { notes, ...result } = await run.result;
  if (signal.aborted) return;
  const changes = await lookForChanges(mount);
  lines.end({ result, notes, changes });
}

async function readFile({ response, query, sandbox }: Call): Promise<void> {
  const path = absolute(pathSchema.parse(query.get("path")));
  const maxBytes = z.coerce.number().int().min(0).max(MAX_FILE_BYTES).parse(query.get("max"));
  const { body } = await (await sandbox.guest()).read(path, { maxBytes, isExact: false });
  response.writeHead(200, { "content-type": "application/octet-stream" });
  await pipeline(Readable.from(body), response);
}

async function writeFile({ request, response, query, sandbox }: Call): Promise<void> {
  const path = absolute(pathSchema.parse(query.get("path")));
  const replaces = hashSchema.parse(query.get("replaces") ?? undefined);
  await (await sandbox.guest()).write(path, readBytes(request, MAX_FILE_BYTES), { replaces });
  sendJson(response, {});
}
