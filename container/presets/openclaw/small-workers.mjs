import { syncBuiltinESMExports } from "node:module";
import threads from "node:worker_threads";

/**
 * Node sets 512 MB of addresses aside for the machine code of each worker, and a local sandbox counts them as its
 * memory: with seven of them OpenClaw dies. They use a few megabytes. Loaded before OpenClaw, and in its workers.
 */
const CODE_MB = 64;

threads.Worker = class extends threads.Worker {
  /** @param {string | URL} file @param {import("node:worker_threads").WorkerOptions} options */
  constructor(file, options = {}) {
    super(file, { ...options, resourceLimits: { codeRangeSizeMb: CODE_MB, ...options.resourceLimits } });
  }
};
syncBuiltinESMExports();
