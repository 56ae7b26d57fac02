import { execFile } from "node:child_process";
import path from "node:path";
import { expect, test } from "vitest";

const PRELOAD = path.resolve(import.meta.dirname, "../../container/presets/openclaw/small-workers.mjs");
/** What a local sandbox on a machine of 8 GB allows a process. */
const DATA_BYTES = 4 * 1024 * 1024 * 1024;
/** Each module system names Worker in its own way. */
const PROGRAMS = {
  "an ECMAScript module": `import { Worker } from "node:worker_threads"; RUN`,
  "a CommonJS module": `const { Worker } = require("worker_threads"); RUN`,
};
const RUN = `
  const WORK = "process.getBuiltinModule('node:worker_threads').parentPort.postMessage([...'12'].length)";
  const workers = Array.from({ length: 12 }, () => new Worker(WORK, { eval: true, resourceLimits: { stackSizeMb: 2 } }));
  const { stackSizeMb } = workers[0].resourceLimits;
  Promise.all(workers.map((worker) => new Promise((done) => worker.once("message", done)))).then((all) => {
    console.log(all.length + " " + stackSizeMb);
    process.exit();
  });`;

async function run(program: string, type: string, flags: readonly string[]): Promise<string> {
  const node = [process.execPath, ...flags, `--input-type=${type}`, "--eval", program.replace("RUN", RUN)];
  return await new Promise((resolve) => {
    execFile("prlimit", [`--data=${DATA_BYTES}`, "--core=0", "--", ...node], (_, stdout, stderr) =>
      resolve(stdout + stderr),
    );
  });
}

test.each([
  ["an ECMAScript module", "module"],
  ["a CommonJS module", "commonjs"],
] as const)("twelve workers of %s fit into what a sandbox allows a process, and not without it", async (kind, type) => {
  expect(await run(PROGRAMS[kind], type, [`--import=${PRELOAD}`])).toBe("12 2\n");
  expect(await run(PROGRAMS[kind], type, [])).toContain("Failed to reserve virtual memory for CodeRange");
});
