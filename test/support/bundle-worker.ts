import { build } from "esbuild";

const bundles = new Map<string, Promise<string>>();

/** A Worker of the tests with all that it imports, as one module for workerd. */
export async function bundleWorker(entry: string): Promise<string> {
  const bundle = bundles.get(entry) ?? makeBundle(entry);
  bundles.set(entry, bundle);
  return await bundle;
}

async function makeBundle(entry: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: "esm",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
  });
  return outputFiles[0]?.text ?? "";
}
