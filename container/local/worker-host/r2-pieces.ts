import { PLUGINS } from "miniflare";

/** What is used here of a plugin, of which the package's declarations lack the type. */
interface Plugin {
  getServices: (options: unknown) => Promise<readonly Service[]>;
}

interface Service {
  readonly worker?: { readonly modules?: readonly { readonly name: string; esModule?: string }[] };
}

const plugins: { readonly r2: Plugin } = PLUGINS;
const { getServices } = plugins.r2;
/** Of Miniflare, the Worker behind every R2 binding. */
const MODULE = "bucket.worker.js";
/** Where it computes the MD5 of what is put into it. */
const PIPED = ".pipeThrough(digesting)";
const DIGESTED = `value${PIPED}`;

/** A Worker's own code. What fits into a few small pieces goes the way that it went. */
const IN_LARGE_PIECES = `
const PIECE_BYTES = 256 * 1024;
function inLargePieces(value, bytes) {
  if (bytes <= 16 * 1024) return value;
  const reader = value.getReader({ mode: "byob" });
  return new ReadableStream({
    async pull(controller) {
      const piece = await reader.readAtLeast(PIECE_BYTES, new Uint8Array(PIECE_BYTES));
      if (piece.value !== undefined && piece.value.length > 0) controller.enqueue(piece.value);
      if (piece.done) controller.close();
    },
    async cancel(reason) {
      await reader.cancel(reason);
    },
  }, { highWaterMark: 0 });
}
`;

/**
 * Lets R2's local stand-in take what is put into it in pieces of 256 KB, in every Miniflare that this process starts
 * from now on. Its digest is a TransformStream in JavaScript, to which workerd hands 4 KB at a time: that takes 21 ms of
 * a core for each megabyte, and 3 ms so. Nothing else of it changes; a Miniflare that is written in another way is left
 * as it is.
 */
export function putInLargePieces(): void {
  plugins.r2.getServices = async (options) => {
    const services = await getServices(options);
    for (const module of services.flatMap(({ worker }) => worker?.modules ?? [])) {
      if (module.name !== MODULE || module.esModule === undefined) continue;
      const script = module.esModule.replaceAll(DIGESTED, `inLargePieces(value, valueSize)${PIPED}`);
      module.esModule = IN_LARGE_PIECES + script;
    }
    return services;
  };
}
