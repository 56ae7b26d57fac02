import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Runtime, type RuntimeOptions, startRuntime } from "../../container/local/runtime.ts";
import { createDriverWithoutSnapshots } from "../support/no-snapshots.ts";
import type { Code, CodeResult, Command, CommandResult, Sandbox } from "../../servers/sandbox/driver.ts";
import type { MountedFiles } from "../../servers/files/store.ts";
import { mapFiles } from "./map-files.ts";

export interface LocalSandboxes extends AsyncDisposable {
  readonly runtime: Runtime;
  readonly secret: string;
  readonly dataDir: string;
  readonly logged: string[];
  /** Of that name, or one that nobody else uses. */
  open(options?: { readonly id?: string; readonly files?: MountedFiles }): Sandbox;
}

/** Node wants to hear that a streamed body is sent before the answer is read. */
export async function fetchNode(input: string, init?: RequestInit): Promise<Response> {
  return await fetch(input, { ...init, ...(init?.body instanceof ReadableStream && { duplex: "half" }) });
}

/** The real runtime with real bubblewrap in a folder of its own, and the driver that speaks with it. */
export async function startLocalSandboxes(options: Partial<RuntimeOptions> = {}): Promise<LocalSandboxes> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), "pincer-sandbox-")));
  const secret = randomBytes(24).toString("hex");
  const logged: string[] = [];
  const runtime = await startRuntime({ dataDir, secret, log: (line) => logged.push(line), ...options });
  const driver = createDriverWithoutSnapshots({ runtimeUrl: runtime.url, secret }, fetchNode);
  return {
    ...{ runtime, secret, dataDir, logged },
    open: ({ id = `t${randomBytes(8).toString("hex")}`, files = mapFiles() } = {}) => driver.open(id, files),
    [Symbol.asyncDispose]: async () => {
      await runtime.close();
      if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true });
    },
  };
}

export async function run(sandbox: Sandbox, command: string, rest: Partial<Command> = {}): Promise<CommandResult> {
  return await sandbox.exec(
    { command, timeoutMs: 30_000, waitMs: 30_000, maxChars: 10_000, ...rest },
    { signal: new AbortController().signal },
  );
}

export async function runCode(sandbox: Sandbox, code: string, rest: Partial<Code> = {}): Promise<CodeResult> {
  return await sandbox.runCode(
    { code, language: "python", context: "main", timeoutMs: 20_000, maxChars: 10_000, ...rest },
    { signal: new AbortController().signal },
  );
}
