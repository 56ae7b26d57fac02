import type * as z from "zod";
import type { Account } from "../../servers/account/account.ts";
import { type FileStore, type MountedFiles, createFileStore } from "../../servers/files/store.ts";
import type { Sandbox, SandboxDriver } from "../../servers/sandbox/driver.ts";
import type { SandboxSnapshotsObject } from "../../servers/sandbox/snapshots.ts";
import { ToolError } from "../../servers/shared/errors.ts";
import { callSchema, type RemoteAnswer } from "../container/wire.ts";

export interface FilesBindings {
  readonly FILES: R2Bucket;
  readonly ACCOUNT: DurableObjectNamespace<Account>;
}

/** Test-only: a driver in workerd behind plain HTTP, so that the contract's cases run in Node against every driver. */
export async function serveSandbox(
  request: Request,
  bindings: FilesBindings,
  driver: SandboxDriver,
  ctx: ExecutionContext,
  snapshots?: DurableObjectNamespace<SandboxSnapshotsObject>,
): Promise<Response> {
  const ported = await servePort(request, bindings, driver, ctx);
  if (ported !== undefined) return ported;
  const form = await request.formData();
  const [json, field] = [form.get("call"), form.get("bytes")];
  const call = callSchema.parse(JSON.parse(typeof json === "string" ? json : ""));
  const bytes = field instanceof File ? await field.bytes() : new Uint8Array();
  const files = storeOf(bindings, call.userId, ctx);
  const sandbox = driver.open(call.sandboxId, files);
  if (call.do === "readOutput" || call.do === "readFile" || call.do === "storeRead") {
    return await readBytes(call, sandbox, files).catch((error: unknown) =>
      Response.json(describeError(error), { status: 400 }),
    );
  }
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const say = async (answer: RemoteAnswer): Promise<void> => {
    await writer.write(new TextEncoder().encode(`${JSON.stringify(answer)}\n`));
  };
  // A client that went away is noticed only by writing to it.
  const abort = new AbortController();
  const pulse = setInterval(() => void writer.write(new Uint8Array([0x0a])).catch(() => abort.abort()), 200);
  const watch = {
    signal: abort.signal,
    onOutput: (output: string) => void say({ output }).catch(() => undefined),
    onStarting: () => void say({ isStarting: true }).catch(() => undefined),
  };

  const run = async (): Promise<unknown> => {
    switch (call.do) {
      case "exec":
        return await sandbox.exec(call.command, watch);
      case "runCode":
        return await sandbox.runCode(call.code, watch);
      case "writeFile":
        return await sandbox.writeFile(call.path, bytes, call.replaces);
      case "listProcesses":
        return await sandbox.listProcesses();
      case "readProcess":
        return await sandbox.readProcess(call.processId, call.read, watch);
      case "writeInput":
        return await sandbox.writeInput(call.processId, call.input);
      case "signalProcess":
        return await sandbox.signalProcess(call.processId, call.signal);
      case "listContexts":
        return await sandbox.listContexts();
      case "status":
        return await sandbox.status();
      case "reset":
        return await sandbox.reset();
      case "sleep":
        return await sandbox.sleep();
      case "fork":
        return await sandbox.fork(call.intoId);
      case "discard":
        return await sandbox.discard();
      case "saveSnapshot":
        return await snapshots?.get(snapshots.idFromName(call.sandboxId)).saveBeforeSleep();
      case "storeWrite":
        return await files.write(call.path, bytes);
      case "storeRemove":
        return await files.remove(call.path);
    }
  };

  const answered = run()
    .then(
      async (result) => await say({ result: result ?? null }),
      async (error: unknown) => await say(describeError(error)),
    )
    .then(async () => await writer.close())
    .catch(() => undefined)
    .finally(() => clearInterval(pulse));
  ctx.waitUntil(answered);
  return new Response(readable, { headers: { "content-type": "application/x-ndjson" } });
}

export function storeOf({ FILES, ACCOUNT }: FilesBindings, userId: string, ctx: ExecutionContext): FileStore {
  return createFileStore(FILES, userId, {
    account: ACCOUNT.get(ACCOUNT.idFromName(userId)),
    waitUntil: (work) => ctx.waitUntil(work),
  });
}

/** `/port/<user>/<sandbox>/<port>/{look,close,fetch/…}`. */
async function servePort(
  request: Request,
  bindings: FilesBindings,
  driver: SandboxDriver,
  ctx: ExecutionContext,
): Promise<Response | undefined> {
  const { pathname, search } = new URL(request.url);
  const [, userId, id, number, what, path] =
    /^\/port\/(\w+)\/([\w-]+)\/(\d+)\/(look|close|fetch)(.*)$/.exec(pathname) ?? [];
  if (userId === undefined || id === undefined) return undefined;
  try {
    const files = storeOf(bindings, userId, ctx);
    const port = driver.open(id, files).port(Number(number));
    if (what === "look") return Response.json(await port.look());
    if (what === "close") return Response.json((await port.close()) ?? null);
    const inner = new Request(`http://localhost${path === "" ? "/" : path}${search}`, request);
    const untilMs = Number(inner.headers.get("x-test-until") ?? Date.now() + 60_000);
    inner.headers.delete("x-test-until");
    const answer = await port.fetch(inner, untilMs);
    if (answer.state !== "answered") {
      return new Response(null, { status: 502, headers: { "x-test-state": answer.state } });
    }
    const { status, webSocket, body } = answer.response;
    const headers = new Headers(answer.response.headers);
    headers.set("x-test-state", "answered");
    return new Response(body, { status, headers, webSocket, encodeBody: "manual" });
  } catch (error) {
    return Response.json(describeError(error), { status: 400 });
  }
}

async function readBytes(
  call: Extract<z.output<typeof callSchema>, { do: "readOutput" | "readFile" | "storeRead" }>,
  sandbox: Sandbox,
  files: MountedFiles,
): Promise<Response> {
  switch (call.do) {
    case "readOutput": {
      const { body, sizeBytes } = await sandbox.readOutput(call.processId, call.stream);
      return new Response(body, { headers: { "x-size-bytes": String(sizeBytes) } });
    }
    case "readFile":
      return new Response(await sandbox.readFile(call.path, call.maxBytes));
    case "storeRead":
      return new Response((await files.read(call.path)).body);
  }
}

function describeError(error: unknown): Extract<RemoteAnswer, { readonly error: unknown }> {
  if (!(error instanceof Error)) return { error: { code: "internal", message: String(error), cause: "" } };
  const code = error instanceof ToolError ? error.code : "internal";
  return { error: { code, message: error.message, cause: String(error.cause) } };
}
