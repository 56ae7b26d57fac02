import { createReadStream } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import * as z from "zod";
import { codeSchema } from "./context.ts";
import { answerLines, readBytes, readJson, sendJson, sendProblem } from "./http.ts";
import { type FilesMount, listingSchema } from "./mount.ts";
import { LiveOutput } from "./output.ts";
import { absolute, commandSchema, type SandboxProcess } from "./process.ts";
import { Problem } from "./problem.ts";
import type { LocalSandbox } from "./sandbox.ts";
import type { Sandboxes } from "./sandboxes.ts";

const MAX_FILE_BYTES = 1024 * 1024 * 1024;
const MAX_COMMAND_BODY_BYTES = 64 * 1024 * 1024;
const MAX_LISTING_BODY_BYTES = 128 * 1024 * 1024;

/** What the driver last brought the folder in line with: a digest of the files, or a lease while it still holds it. */
const filesSchema = z.union([z.object({ digest: z.string().max(64) }), z.object({ lease: z.uuid() })]);
const execSchema = z.object({ command: commandSchema, files: filesSchema });
const codeCallSchema = z.object({ code: codeSchema, files: filesSchema });
const leaseSchema = z.object({ lease: z.uuid() });
const planSchema = z.object({ lease: z.uuid(), listing: listingSchema });
const pathSchema = z
  .string()
  .min(1)
  .max(4_096)
  .refine((path) => !path.includes("\0"));
const commitSchema = z.object({
  lease: z.uuid(),
  uploaded: z.array(z.object({ path: pathSchema, etag: z.string().max(200) })),
  removed: z.array(pathSchema),
  isComplete: z.boolean(),
});
const keepBothSchema = z.object({ lease: z.uuid(), path: pathSchema });

interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  readonly sandbox: LocalSandbox;
}

const ROUTES: Readonly<Record<string, (call: Call) => Promise<void>>> = {
  "POST exec": exec,
  "POST code": runCode,
  "GET output": readOutput,
  "GET file": readFile,
  "PUT file": writeFile,
  "POST mount/check": checkMount,
  "POST mount/changes": async ({ response, sandbox }) =>
    sendJson(response, { changes: await (await sandbox.mount()).changes() }),
  "POST mount/begin": beginMount,
  "POST mount/plan": planMount,
  "PUT mount/file": putMountFile,
  "GET mount/file": getMountFile,
  "POST mount/keep-both": keepBoth,
  "POST mount/commit": commitMount,
  "POST mount/end": endMount,
};

/** Answers one request that has passed the gate. */
export async function answer(request: IncomingMessage, response: ServerResponse, sandboxes: Sandboxes): Promise<void> {
  try {
    const url = new URL(request.url ?? "/", "http://localhost");
    if (request.method === "GET" && url.pathname === "/health") {
      return sendJson(
        response,
        sandboxes.problem === undefined ? { status: "ok" } : { status: "unavailable", problem: sandboxes.problem },
      );
    }
    const [, id, name] = /^\/sandboxes\/([a-z0-9][\w-]{0,127})\/([a-z/-]+)$/.exec(url.pathname) ?? [];
    const route = ROUTES[`${request.method} ${name}`];
    if (id === undefined || route === undefined)
      throw new Problem("not_found", "The sandbox runtime has no such route.");
    const sandbox = await sandboxes.get(id);
    await sandbox.use(async () => await route({ request, response, query: url.searchParams, sandbox }));
  } catch (error) {
    sendProblem(response, error);
  }
}

async function exec({ request, response, sandbox }: Call): Promise<void> {
  const input = await readJson(request, execSchema, MAX_COMMAND_BODY_BYTES);
  const mount = await sandbox.mount();
  const { lines, signal } = answerLines(response);
  const process = await withFiles(
    mount,
    input.files,
    async () => await sandbox.start(input.command, (output) => lines.send({ output })),
  );
  const kill = (): void => void process.kill();
  signal.addEventListener("abort", kill);
  // Its reader may have gone while it was started.
  if (signal.aborted) kill();
  await waitFor(process, Math.min(input.command.waitMs, input.command.timeoutMs + KILL_MS));
  if (signal.aborted) return;
  const changes = await lookForChanges(mount);
  signal.removeEventListener("abort", kill);
  const { notes, ...result } = process.result();
  lines.end({ result, notes, changes });
}

/** Time that ending a command may take once its own time is up. */
const KILL_MS = 10_000;

async function waitFor(process: SandboxProcess, waitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([process.ended, new Promise((resolve) => (timer = setTimeout(resolve, waitMs)))]);
  clearTimeout(timer);
}

async function runCode({ request, response, sandbox }: Call): Promise<void> {
  const input = await readJson(request, codeCallSchema, MAX_COMMAND_BODY_BYTES);
  const mount = await sandbox.mount();
  const { lines, signal } = answerLines(response);
  const live = new LiveOutput((output) => lines.send({ output }));
  const run = await withFiles(mount, input.files, async () => ({ result: sandbox.runCode(input.code, live, signal) }));
  const result = await run.result;
  if (signal.aborted) return;
  const changes = await lookForChanges(mount);
  lines.end({ result, notes: [], changes });
}

/** What a call did is told even where the sandbox that did it can no longer be asked. */
async function lookForChanges(mount: FilesMount): ReturnType<FilesMount["changes"]> {
  return await mount.changes().catch((error: unknown) => {
    if (!(error instanceof Problem)) throw error;
    return { notes: ["What changed in /workspace/files is brought to your files with the next call."] };
  });
}

/** Begins work on the files as the driver saw them, or says that they have to be brought in line first. */
async function withFiles<Result>(
  mount: FilesMount,
  files: z.output<typeof filesSchema>,
  begin: () => Promise<Result>,
): Promise<Result> {
  const lease = "lease" in files ? files.lease : await mount.leases.take();
  try {
    return await mount.leases.use(lease, async () => {
      if ("digest" in files && !mount.isCurrent(files.digest)) {
        throw new Problem("stale_files", "The files have to be brought in line first.");
      }
      return await begin();
    });
  } finally {
    mount.leases.release(lease);
  }
}

async function readOutput({ response, query, sandbox }: Call): Promise<void> {
  const process = sandbox.process(query.get("process") ?? "");
  const output = query.get("stream") === "stderr" ? process.stderr : process.stdout;
  const sizeBytes = output.spooledBytes;
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": sizeBytes });
  if (sizeBytes === 0) return void response.end();
  await pipeline(createReadStream(output.spoolPath, { end: sizeBytes - 1 }), response);
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
  await (await sandbox.guest()).write(path, readBytes(request, MAX_FILE_BYTES));
  sendJson(response, {});
}

async function beginMount({ response, sandbox }: Call): Promise<void> {
  const { leases } = await sandbox.mount();
  const lease = await leases.take();
  // Whoever waited for it may have gone.
  if (response.destroyed) leases.release(lease);
  else sendJson(response, { lease });
}

async function checkMount({ request, response, sandbox }: Call): Promise<void> {
  const { files } = await readJson(request, z.object({ files: filesSchema }), MAX_COMMAND_BODY_BYTES);
  await withFiles(await sandbox.mount(), files, async () => undefined);
  sendJson(response, {});
}

async function planMount({ request, response, sandbox }: Call): Promise<void> {
  const { lease, listing } = await readJson(request, planSchema, MAX_LISTING_BODY_BYTES);
  const mount = await sandbox.mount();
  sendJson(response, await mount.leases.use(lease, async () => await mount.plan(listing)));
}

async function putMountFile({ request, response, query, sandbox }: Call): Promise<void> {
  const { lease } = leaseSchema.parse({ lease: query.get("lease") });
  const path = pathSchema.parse(query.get("path"));
  const etag = z.string().min(1).max(200).parse(query.get("etag"));
  const mount = await sandbox.mount();
  sendJson(
    response,
    await mount.leases.use(lease, async () => await mount.put(path, etag, readBytes(request, MAX_FILE_BYTES))),
  );
}

async function getMountFile({ response, query, sandbox }: Call): Promise<void> {
  const { lease } = leaseSchema.parse({ lease: query.get("lease") });
  const path = pathSchema.parse(query.get("path"));
  const mount = await sandbox.mount();
  await mount.leases.use(lease, async () => {
    const { sizeBytes, body } = await mount.read(path);
    response.writeHead(200, { "content-type": "application/octet-stream", "content-length": sizeBytes });
    await pipeline(Readable.from(body), response);
  });
}

async function keepBoth({ request, response, sandbox }: Call): Promise<void> {
  const { lease, path } = await readJson(request, keepBothSchema, MAX_COMMAND_BODY_BYTES);
  const mount = await sandbox.mount();
  sendJson(response, await mount.leases.use(lease, async () => await mount.keepBoth(path)));
}

async function commitMount({ request, response, sandbox }: Call): Promise<void> {
  const { lease, ...done } = await readJson(request, commitSchema, MAX_LISTING_BODY_BYTES);
  const mount = await sandbox.mount();
  await mount.leases.use(lease, async () => await mount.commit(done));
  mount.leases.release(lease);
  sendJson(response, {});
}

async function endMount({ request, response, sandbox }: Call): Promise<void> {
  const { lease } = await readJson(request, leaseSchema, MAX_COMMAND_BODY_BYTES);
  const mount = await sandbox.mount();
  await mount.save();
  mount.leases.release(lease);
  sendJson(response, {});
}
