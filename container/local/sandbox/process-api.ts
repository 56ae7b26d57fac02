import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import * as z from "zod";
import { PROCESS_SIGNALS } from "../../../servers/sandbox/process.ts";
import { type Call, MAX_COMMAND_BODY_BYTES, type Route } from "./call.ts";
import { answerLines, type Lines, readJson, sendJson } from "./http.ts";
import { filesSchema, lookForChanges, withFiles } from "./mount-api.ts";
import type { FilesMount } from "./mount.ts";
import { readProcess, readSchema } from "./process-read.ts";
import { type CommandRequest, commandSchema, hasEnded, type SandboxProcess } from "./process.ts";

const id = z.string().max(1_000);
const execSchema = z.object({ command: commandSchema, files: filesSchema });
const readCallSchema = z.object({ process: id, read: readSchema });
/** As JSON it fits into one frame for the agent. */
const inputSchema = z.object({
  process: id,
  input: z.object({ text: z.string().max(500_000), isEnd: z.boolean() }),
});
const signalSchema = z.object({ process: id, signal: z.enum(PROCESS_SIGNALS) });

export const PROCESS_ROUTES: Readonly<Record<string, Route>> = {
  "POST exec": exec,
  "POST read": read,
  "POST input": writeInput,
  "POST signal": signal,
  "GET output": readOutput,
};

async function exec({ request, response, sandbox }: Call): Promise<void> {
  const input = await readJson(request, execSchema, MAX_COMMAND_BODY_BYTES);
  const mount = await sandbox.mount();
  const { lines, signal } = answerLines(response);
  const process = await withFiles(
    mount,
    input.files,
    async () => await sandbox.start(input.command, (output) => lines.send({ output })),
  );
  try {
    await answerExec(input.command, process, { mount, lines, signal });
  } finally {
    process.record.release();
    // What of it cannot be removed now is removed when the runtime starts again.
    const drop = async (): Promise<void> => await sandbox.processes.drop(process.record.id).catch(() => undefined);
    if (input.command.isInternal) void process.ended.then(drop);
  }
}

async function answerExec(
  command: CommandRequest,
  process: SandboxProcess,
  { mount, lines, signal }: { readonly mount: FilesMount; readonly lines: Lines; readonly signal: AbortSignal },
): Promise<void> {
  const kill = (): void => void process.kill();
  signal.addEventListener("abort", kill);
  // Its reader may have gone while it was started.
  if (signal.aborted) kill();
  await waitFor(process, Math.min(command.waitMs, command.timeoutMs + KILL_MS));
  if (signal.aborted) return;
  const changes = await lookForChanges(mount);
  signal.removeEventListener("abort", kill);
  // Who knows of it may ask for it, whatever becomes of us.
  if (process.record.isRunning) process.record.save();
  lines.end({ result: process.result(), notes: process.record.notes, changes });
}

/** Time that ending a command may take once its own time is up. */
const KILL_MS = 10_000;

async function waitFor(process: SandboxProcess, waitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([process.ended, new Promise((resolve) => (timer = setTimeout(resolve, waitMs)))]);
  clearTimeout(timer);
}

async function read({ request, response, sandbox }: Call): Promise<void> {
  const input = await readJson(request, readCallSchema, MAX_COMMAND_BODY_BYTES);
  const { record } = await sandbox.processes.find(input.process);
  const { lines, signal } = answerLines(response);
  const isListening = async (port: number): Promise<boolean> => await sandbox.isListening(port);
  const result = await readProcess(record, input.read, { isListening, turns: sandbox.turns, signal });
  if (signal.aborted) return;
  const changes = input.read.until === "output" ? { notes: [] } : await lookForChanges(await sandbox.mount());
  lines.end({ result, notes: record.notes, changes });
}

async function writeInput({ request, response, sandbox }: Call): Promise<void> {
  const { process: processId, input } = await readJson(request, inputSchema, MAX_COMMAND_BODY_BYTES);
  const { record, process } = await sandbox.processes.find(processId);
  if (process === undefined) throw hasEnded();
  const before = record.position();
  await process.write(input);
  sendJson(response, before);
}

async function signal({ request, response, sandbox }: Call): Promise<void> {
  const { process: processId, signal: name } = await readJson(request, signalSchema, MAX_COMMAND_BODY_BYTES);
  const { record, process } = await sandbox.processes.find(processId);
  if (process === undefined || !record.isRunning) throw hasEnded();
  const before = record.position();
  if (name === "SIGKILL") await process.kill();
  else await process.signal(name);
  sendJson(response, before);
}

async function readOutput({ response, query, sandbox }: Call): Promise<void> {
  const { record } = await sandbox.processes.find(query.get("process") ?? "");
  const output = query.get("stream") === "stderr" ? record.stderr : record.stdout;
  const sizeBytes = output.spooledBytes;
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": sizeBytes });
  if (sizeBytes === 0) return void response.end();
  await pipeline(createReadStream(output.spoolPath, { end: sizeBytes - 1 }), response);
}
