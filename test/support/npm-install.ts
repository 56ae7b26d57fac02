import { execFile } from "node:child_process";
import { access, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";

export interface Installation {
  readonly folder: string;
  /** Exact versions by name. */
  readonly packages: Readonly<Record<string, string>>;
  /** What has to be there afterwards, below `node_modules`. */
  readonly programs: readonly string[];
  readonly report: (line: string) => void;
}

/** Installs packages that are too large to depend on, without their scripts, where they are not there yet. */
export async function installOnce({ folder, packages, programs, report }: Installation): Promise<void> {
  const manifest = JSON.stringify({ private: true, dependencies: packages });
  if (await isInstalled(folder, manifest, programs)) return;
  report(`Installing ${Object.keys(packages).join(", ")} into ${folder}, once.`);
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, "package.json"), manifest);
  await promisify(execFile)("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund"], {
    cwd: folder,
    timeout: 15 * 60 * 1_000,
  });
  await writeFile(path.join(folder, INSTALLED), manifest);
}

/** Written last: an install that was cut short is begun again. */
const INSTALLED = "installed.json";

async function isInstalled(folder: string, manifest: string, programs: readonly string[]): Promise<boolean> {
  if ((await readFile(path.join(folder, INSTALLED), "utf8").catch(() => "")) !== manifest) return false;
  return await Promise.all(programs.map((program) => access(path.join(folder, "node_modules", program)))).then(
    () => true,
    () => false,
  );
}
