import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import type { Chrome } from "./chrome.ts";
import { probeJail } from "./jail.ts";

export interface BindingOptions {
  /** Absolute; `browser/` in it is what Miniflare takes for its cache. */
  readonly dataDir: string;
  readonly chrome: Chrome;
  /** Of an egress proxy in browser mode; Chrome reaches nothing else. Chrome's own sockets are put beside it. */
  readonly egressSocket: string;
}

export type PreparedBinding =
  | {
      readonly ready: true;
      /** To be set in the environment of the process that makes `Miniflare`, before it does. */
      readonly env: Readonly<Record<string, string>>;
      /** For the banner: `its own sandbox, inside bubblewrap`. */
      readonly isolation: string;
    }
  | { readonly ready: false; readonly problem: string };

/** How pages are kept from the machine: Chrome's own sandbox, bubblewrap around it, or both. */
type Isolation = "both" | "bubblewrap" | "chrome";

const ISOLATION_TEXT: Readonly<Record<Isolation, string>> = {
  both: "its own sandbox, inside bubblewrap",
  bubblewrap: "inside bubblewrap",
  chrome: "its own sandbox",
};

/** The one Chrome that miniflare 5.20261117 looks for; with any other name it would download one. */
const MINIFLARE_CHROME = "126.0.6478.182";
/** Of the folder that is made beside the egress socket, and the socket in it; a unix socket's path ends at 107. */
const MAX_FOLDER_BYTES = 107 - "/c-123456/socket".length;

/**
 * Makes Miniflare's browser binding use that Chrome: puts a launcher script where Miniflare looks for its own. Each
 * start gets a private profile, no network but the egress proxy, and a sandbox; it ends with whoever started it.
 */
export async function prepareBrowserBinding({
  dataDir,
  chrome,
  egressSocket,
}: BindingOptions): Promise<PreparedBinding> {
  if (new TextEncoder().encode(dirname(egressSocket)).length > MAX_FOLDER_BYTES) {
    return {
      ready: false,
      problem: `${dirname(egressSocket)} is too long a path for sockets; set TMPDIR to a shorter one.`,
    };
  }
  if (!(await runs("setpriv", ["--pdeathsig", "KILL", "/bin/true"]))) {
    return {
      ready: false,
      problem: "Chrome is not started without setpriv, which ends it with us; install util-linux and start again.",
    };
  }
  const chosen = await chooseIsolation(chrome);
  if (!chosen.possible) return { ready: false, problem: chosen.problem };
  const cache = join(dataDir, "browser");
  try {
    await writeLauncher(cache, launcherScript(chrome, egressSocket, chosen.isolation));
  } catch {
    return { ready: false, problem: `${cache} cannot be written; make it yours, or choose another --data folder.` };
  }
  return { ready: true, env: { XDG_CACHE_HOME: cache }, isolation: ISOLATION_TEXT[chosen.isolation] };
}

async function writeLauncher(cache: string, script: string): Promise<void> {
  const platform = process.arch === "arm64" ? "linux_arm" : "linux";
  const folder = join(cache, ".wrangler", "chrome", `${platform}-${MINIFLARE_CHROME}`);
  await mkdir(join(folder, "chrome-linux64"), { recursive: true });
  await writeFile(join(folder, "chrome-linux64", "chrome"), script, { mode: 0o755 });
  // Without it, Miniflare takes a Chrome that does not start for a broken download, removes it and fetches its own.
  await writeFile(join(folder, ".miniflare-install-complete"), "");
}

type Choice =
  | { readonly possible: true; readonly isolation: Isolation }
  | { readonly possible: false; readonly problem: string };

async function chooseIsolation(chrome: Chrome): Promise<Choice> {
  const jail = await probeJail(chrome);
  if (jail.works) return { possible: true, isolation: jail.allowsOwnSandbox ? "both" : "bubblewrap" };
  const remedy = "get bubblewrap (0.8 or newer) to run here and start again.";
  // Chrome has no sandbox of its own for root, and it would rather not start than run without one for anybody else.
  if (process.getuid?.() === 0) {
    return { possible: false, problem: `Root's Chrome runs inside bubblewrap only, and ${jail.problem}; ${remedy}` };
  }
  // A packaged Chrome may have a permission of its own where others may make no user namespaces (Ubuntu's AppArmor).
  if (chrome.origin === "bundled" && !(await runs("unshare", ["--user", "/bin/true"]))) {
    const problem = `The bundled Chrome cannot make a sandbox here, and ${jail.problem}; install Google Chrome's own package, or allow user namespaces, and start again.`;
    return { possible: false, problem };
  }
  return { possible: true, isolation: "chrome" };
}

function launcherScript(chrome: Chrome, egressSocket: string, isolation: Isolation): string {
  const launch = join(import.meta.dirname, "launch.ts");
  const words = [
    ...["setpriv", "--pdeathsig", "KILL", process.execPath, launch],
    ...["--isolation", isolation, "--egress", egressSocket, "--executable", chrome.executable],
    ...chrome.folders.flatMap((folder) => ["--folder", folder]),
    ...Object.entries(chrome.env).flatMap(([name, value]) => ["--env", `${name}=${value}`]),
    "--",
  ];
  return `#!/bin/sh\n# Written at each start of Pincer.\nexec ${words.map(quote).join(" ")} "$@"\n`;
}

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

async function runs(program: string, words: readonly string[]): Promise<boolean> {
  return promisify(execFile)(program, [...words]).then(
    () => true,
    () => false,
  );
}
