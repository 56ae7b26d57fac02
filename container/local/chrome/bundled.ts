import { spawn } from "node:child_process";
import { createReadStream, createWriteStream } from "node:fs";
import { access, chmod, mkdir, mkdtemp, readFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { findPackageJSON } from "node:module";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";

export interface BundledChrome {
  readonly executable: string;
  /** Everything that it reads is in here. */
  readonly folder: string;
  readonly librariesEnv: Readonly<Record<string, string>>;
  readonly fontsEnv: Readonly<Record<string, string>>;
}

/** In the data folder. */
export const CHROME_FOLDER = "chrome";

const ARCHIVES = ["al2023.tar.br", "fonts.tar.br", "swiftshader.tar.br"];

/**
 * Unpacks the Chrome of `@sparticuz/chromium` below `parent`, once for each version: some 220 MB and three seconds.
 * Undefined where the package is missing, or is for another machine; rejects where the disk does not take it.
 */
export async function unpackBundledChrome(
  parent: string,
  report: (line: string) => void,
): Promise<BundledChrome | undefined> {
  const home = packageFolder();
  if (process.arch !== "x64" || home === undefined) return undefined;
  await mkdir(parent, { recursive: true });
  const folder = join(await realpath(parent), await versionIn(home));
  const executable = join(folder, "chromium");
  if (!(await exists(executable))) {
    const unfinished = await mkdtemp(join(parent, "unpacking-"));
    try {
      await unpack(join(home, "bin"), unfinished, report);
      await writeFile(join(unfinished, "fonts.conf"), fontsConf(folder));
      await rename(unfinished, folder).catch(async (failure: unknown) => {
        // Whoever was faster may have it running by now.
        if (await exists(executable)) return;
        if (!(await exists(folder))) throw failure;
        await rm(folder, { recursive: true });
        await rename(unfinished, folder);
      });
    } finally {
      await rm(unfinished, { recursive: true, force: true });
    }
  }
  // For the sandbox's user, to whom it is shown; whoever may not pass the folder above does not come here.
  await chmod(folder, 0o755);
  return {
    executable,
    folder,
    librariesEnv: { LD_LIBRARY_PATH: join(folder, "lib") },
    fontsEnv: { FONTCONFIG_FILE: join(folder, "fonts.conf") },
  };
}

/** The folder of what `unpackBundledChrome` has put below `parent`; nothing where it has not. */
export async function unpackedChrome(parent: string): Promise<string | undefined> {
  const home = packageFolder();
  if (home === undefined) return undefined;
  const folder = join(parent, await versionIn(home));
  return (await exists(join(folder, "chromium"))) ? folder : undefined;
}

async function unpack(archives: string, target: string, report: (line: string) => void): Promise<void> {
  for (const name of ARCHIVES) {
    const tar = spawn("tar", ["-x", "-C", target, "--no-same-owner"], { stdio: ["pipe", "ignore", "ignore"] });
    const ended = new Promise((resolve, reject) => tar.once("close", resolve).once("error", reject));
    // tar may close its end before the padding after an archive is written; its exit code tells whether all is well.
    await pipeline(createReadStream(join(archives, name)), createBrotliDecompress(), tar.stdin).catch(() => {});
    if ((await ended) !== 0) throw new Error(`tar could not unpack ${name}.`);
  }
  const source = join(archives, "chromium.br");
  const packed = createReadStream(source);
  reportProgress(packed, (await stat(source)).size, report);
  await pipeline(packed, createBrotliDecompress(), createWriteStream(join(target, "chromium"), { mode: 0o755 }));
}

/** Whether the package is there, for this machine, and what it carries below `parent` already. */
export async function bundledState(parent: string): Promise<"missing" | "packed" | "unpacked"> {
  const home = packageFolder();
  if (process.arch !== "x64" || home === undefined) return "missing";
  return (await exists(join(parent, await versionIn(home), "chromium"))) ? "unpacked" : "packed";
}

function reportProgress(packed: Readable, totalBytes: number, report: (line: string) => void): void {
  let readBytes = 0;
  let reported = -1;
  packed.on("data", (chunk: Uint8Array) => {
    readBytes += chunk.length;
    const quarter = Math.floor((4 * readBytes) / totalBytes);
    if (quarter > reported) report(`Unpacking the browser, once: ${25 * quarter} %`);
    reported = quarter;
  });
}

function fontsConf(folder: string): string {
  const dirs = [join(folder, "fonts"), "/usr/share/fonts"].map(
    (dir) => `<dir>${dir.replace(/[&<]/g, (c) => `&#${c.charCodeAt(0)};`)}</dir>`,
  );
  return `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>${dirs.join("")}<cachedir prefix="xdg">fontconfig</cachedir></fontconfig>\n`;
}

/** Found by its path: importing it would change this process's environment. */
function packageFolder(): string | undefined {
  try {
    const found = findPackageJSON("@sparticuz/chromium", import.meta.url);
    return found === undefined ? undefined : dirname(found);
  } catch {
    return undefined;
  }
}

async function versionIn(home: string): Promise<string> {
  const parsed: unknown = JSON.parse(await readFile(join(home, "package.json"), "utf8"));
  if (
    typeof parsed === "object" &&
    parsed !== null &&
    "version" in parsed &&
    /^[\w.-]+$/.test(String(parsed.version))
  ) {
    return String(parsed.version);
  }
  throw new Error("The package @sparticuz/chromium names no version.");
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
