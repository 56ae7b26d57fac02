import { mkdir, realpath, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { AgentLink } from "./agent-link.ts";
import { type Agent, type Enclosure, identityOf } from "./enclosure.ts";
import type { Limits } from "./limits.ts";
import { measure } from "./simulated/measure.mjs";

export interface SimulatedOptions {
  readonly dir: string;
  readonly limits: Limits;
  /** Why it stands in. */
  readonly reason: string;
  readonly log: (line: string) => void;
}

const HERE = import.meta.dirname;
/** What the agent and its threads load. */
const CODE = [join(HERE, "inside"), join(HERE, "simulated"), join(HERE, "../../../node_modules")];
/** A folder with more files than that takes long to measure, and its size stays unknown. */
const MAX_MEASURED_FILES = 20_000;
const CANNOT =
  "The shell is simulated by just-bash: no native programs (git, node, python), code contexts, terminals, ports or *.internal names, background jobs run in turn, and output comes when a command is over.";
export const NO_SNAPSHOTS =
  "Simulated sandboxes have no snapshots: their workspace is as safe as the disk of this machine that it lies on.";

/** Folders of this machine, and a simulated bash that sees nothing else; it runs wherever Node does. */
export function simulatedEnclosure({ dir, limits, reason, log }: SimulatedOptions): Enclosure {
  const folders = { workspace: join(dir, "workspace"), files: join(dir, "files"), tmp: join(dir, "tmp") };

  const prepare = async (): Promise<string> => {
    for (const folder of Object.values(folders)) await mkdir(folder, { recursive: true, mode: 0o700 });
    return await identityOf(folders.files);
  };

  const start = async (): Promise<Agent> => {
    await rm(folders.tmp, { recursive: true, force: true });
    await prepare();
    const link = await AgentLink.start(await agentCommand(folders, limits), log);
    return { link, outOfMemoryKills: () => 0, gone: link.ended };
  };

  return {
    simulatedBecause: reason,
    isUsed: async () => (await stat(folders.workspace).catch(() => undefined)) !== undefined,
    diskIdentity: async () => await identityOf(folders.workspace).catch(() => undefined),
    prepare,
    start,
    status: async (running) => {
      const { bytes, files } = await measure(Object.values(folders), MAX_MEASURED_FILES);
      return {
        driver: "simulated",
        state: typeof running === "string" ? running : "running",
        ...(files <= MAX_MEASURED_FILES && { disk: { usedBytes: bytes, limitBytes: limits.diskBytes } }),
        ...(typeof running === "object" && {
          uptimeMs: performance.now() - running.startedMs,
          processCount: running.commandCount,
        }),
        notes: [CANNOT, NO_SNAPSHOTS, reason],
      };
    },
  };
}

/** What the agent runs as: in folders of its code it only reads, and it starts no programs. Paths are without links. */
export function permissionsFor(code: readonly string[], own: readonly string[]): readonly string[] {
  return [
    ...["--no-warnings", "--permission", "--allow-worker"],
    ...[...code, ...own].map((folder) => `--allow-fs-read=${folder}`),
    ...own.map((folder) => `--allow-fs-write=${folder}`),
  ];
}

/** Node with no more permissions than the agent needs, which reaches no files but its own and the sandbox's. */
async function agentCommand(folders: Readonly<Record<string, string>>, limits: Limits): Promise<readonly string[]> {
  const { memoryBytes, diskBytes, diskFiles, spoolBytes: outputBytes } = limits;
  const places = await Promise.all(
    Object.entries(folders).map(async ([name, folder]) => [name, await realpath(folder)] as const),
  );
  const code = await Promise.all(CODE.map(async (folder) => await realpath(folder)));
  const own = places.map(([, folder]) => folder);
  // Node would read it as any path that begins like this one.
  if ([...code, ...own].some((folder) => folder.includes("*")))
    throw new Error("The path of the data folder must not hold an asterisk; choose another by --data.");
  return [
    process.execPath,
    ...permissionsFor(code, own),
    join(await realpath(HERE), "simulated/agent.mjs"),
    JSON.stringify({
      folders: Object.fromEntries(places),
      limits: { memoryBytes, diskBytes, diskFiles, outputBytes },
    }),
  ];
}
