import { execFile } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import * as z from "zod";
import { readSuite, requestToken } from "../../container/local/running-suite.ts";
import { type ToolAnswer, connectOfficial, textOf } from "../support/mcp-clients.ts";
import { spawnSuite } from "../support/suite.ts";

/** What the suite asks models with, and nothing in a sandbox may ever see. */
const MODEL_KEY = "the-suites-own-model-key-7f3a";
const MODEL = "scripted";
/** As the sandbox sees them: the same files, for programs that do not ask the system. */
const CERTIFICATES = process.env["NODE_EXTRA_CA_CERTS"];

export interface Ended {
  readonly exitCode: number;
  readonly said: string;
}

/** A suite with a model, whose sandbox reaches npm's registry, for agents that live in that sandbox. */
export interface InsideSuite extends AsyncDisposable {
  readonly url: string;
  readonly signInCode: string;
  /** What must never be seen from inside. */
  readonly secrets: readonly string[];
  call(tool: string, input: Record<string, unknown>): Promise<ToolAnswer>;
  /** Runs a command to its end, however long it takes. */
  run(command: string): Promise<Ended>;
  /** By one call, as anybody would. Returns the URL of its preview, where it has one. */
  startPreset(name: string): Promise<string | undefined>;
  /** Installs packages from npm in a folder of the sandbox. */
  install(packages: readonly string[], folder: string): Promise<void>;
}

const stepSchema = z.object({
  process_id: z.string().optional(),
  cursor: z.string().optional(),
  exit_code: z.int().optional(),
  running: z.boolean().default(false),
  stdout: z.string(),
  stderr: z.string(),
});

/** `dataDir` is kept: what presets install lies there, a gigabyte. */
export async function startInsideSuite(
  dataDir: string,
  modelUrl: string,
  allowedHosts: readonly string[] = [],
): Promise<InsideSuite> {
  const registry = await npmRegistry();
  const port = registry.port === "" ? (registry.protocol === "https:" ? "443" : "80") : registry.port;
  const hosts = [`${registry.hostname}:${port}`, ...allowedHosts].flatMap((host) => ["--allow-host", host]);
  const suite = spawnSuite(["--data", dataDir, "--driver", "local", ...hosts], {
    MODEL_BASE_URL: `${modelUrl}/v1`,
    MODEL_API_KEY: MODEL_KEY,
    MODEL_DEFAULT: MODEL,
    MODEL_PRICES: JSON.stringify({ [MODEL]: { input: 1, output: 1 } }),
  });
  const url = await suite.ready;
  const running = await readSuite(dataDir);
  const token = await requestToken(running, { name: "test:clients" });
  const client = await connectOfficial(new URL("/mcp", url), token, "modern");
  const [signInCode = ""] = /\b[A-Z0-9]{4}-[A-Z0-9]{4}\b/.exec(suite.output()) ?? [];
  const call: InsideSuite["call"] = async (tool, input) => await client.callTool(tool, input);
  const step = (answer: ToolAnswer): z.output<typeof stepSchema> => {
    if (answer.isError) throw new Error(textOf(answer));
    return stepSchema.parse(answer.structuredContent);
  };
  const run: InsideSuite["run"] = async (command) => {
    let last = step(await call("sandbox_exec", { command, wait_ms: 40_000, timeout_ms: 900_000 }));
    let said = last.stdout + last.stderr;
    const { process_id: processId } = last;
    while (last.exit_code === undefined && processId !== undefined) {
      await pause(100);
      const { cursor } = last;
      const wait = { process_id: processId, end: true, wait_ms: 40_000, ...(cursor === undefined ? {} : { cursor }) };
      last = step(await call("sandbox_wait", wait));
      said += last.stdout + last.stderr;
    }
    return { exitCode: last.exit_code ?? -1, said };
  };
  const certificates = CERTIFICATES === undefined ? "" : `NODE_EXTRA_CA_CERTS='${CERTIFICATES}' `;
  const withRegistry = `${certificates}npm_config_registry='${registry.href}'`;
  return {
    ...{ url, signInCode, call, run },
    secrets: [MODEL_KEY, token, running.adminSecret],
    install: async (packages, folder) => {
      const flags = "--ignore-scripts --no-audit --no-fund --loglevel=error";
      const { exitCode, said } = await run(
        `mkdir -p ${folder} && cd ${folder} && ${withRegistry} npm install ${flags} ${packages.join(" ")}`,
      );
      if (exitCode !== 0) throw new Error(`npm install ended with ${exitCode}:\n${said}`);
    },
    startPreset: async (name) => {
      const { exitCode, said } = await run(`${withRegistry} preset start ${name}`);
      if (exitCode !== 0) throw new Error(`preset start ${name} ended with ${exitCode}:\n${said}`);
      return / at (http:\S+)\. /.exec(said)?.[1];
    },
    [Symbol.asyncDispose]: async () => {
      await client[Symbol.asyncDispose]();
      await suite.end();
    },
  };
}

/** The one that this machine installs from. */
async function npmRegistry(): Promise<URL> {
  const { stdout } = await promisify(execFile)("npm", ["config", "get", "registry"]);
  return new URL(stdout.trim());
}
