// Miniflare starts this in place of Chrome, with Chrome's arguments after `--`; it says what Chrome says, and ends
// when Chrome ends. See binding.ts.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { isOwnPeer, portOf, startBridge, withoutCompression, type Endpoint } from "./bridge.ts";
import { chromeFlags } from "./flags.ts";
import { JAIL, jailArguments } from "./jail.ts";

const START_TIMEOUT_MS = 60_000;
/** Of one process. Chrome itself would let a page have 16 GB, which is all of most machines. */
const MAX_DATA_BYTES = 2 * 1024 ** 3;
const LOOPBACK = { host: "127.0.0.1", port: 0 };

const { values, positionals: given } = parseArgs({
  allowPositionals: true,
  options: {
    isolation: { type: "string", default: "" },
    egress: { type: "string", default: "" },
    executable: { type: "string", default: "" },
    folder: { type: "string", multiple: true, default: [] },
    env: { type: "string", multiple: true, default: [] },
  },
});
const env = Object.fromEntries(
  values.env.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]),
);

interface Started {
  readonly chrome: ChildProcess;
  /** Where its DevTools are, given the port that Chrome names. */
  readonly devtoolsAt: (port: number) => Endpoint;
  readonly cleanUp: () => void;
}

const { chrome, devtoolsAt, cleanUp } = values.isolation === "chrome" ? await startBare() : await startJailed();
const slow = setTimeout(() => {
  console.error("Chrome has not started within a minute.");
  chrome.kill("SIGKILL");
}, START_TIMEOUT_MS);
chrome.on("error", (error) => {
  console.error(error.message);
  cleanUp();
  process.exit(127);
});
chrome.on("exit", (code) => {
  cleanUp();
  process.exit(code ?? 1);
});
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => chrome.kill("SIGKILL"));

if (chrome.stderr === null) throw new Error("Chrome was started without a way to hear from it.");
let isUp = false;
for await (const line of createInterface({ input: chrome.stderr })) {
  if (isUp) continue;
  const named = /^(DevTools listening on ws:\/\/127\.0\.0\.1:)(\d+)(\/.*)$/.exec(line);
  if (named === null) {
    console.error(line);
    continue;
  }
  isUp = true;
  clearTimeout(slow);
  const devtools = await startBridge(LOOPBACK, devtoolsAt(Number(named[2])), isOwnPeer, withoutCompression);
  console.error(`${named[1]}${portOf(devtools)}${named[3]}`);
}

/** In bubblewrap, with no network: both ways out are sockets in folders that it is given. */
async function startJailed(): Promise<Started> {
  const folder = mkdtempSync(join(dirname(values.egress), "c-"));
  const jail = await jailArguments({ executable: values.executable, folders: values.folder, env });
  const program = [JAIL.node, JAIL.program, JAIL.egressSocket, JAIL.devtoolsSocket, JAIL.profile];
  const sandbox = values.isolation === "both" ? "own" : "none";
  const chrome = spawn(
    "prlimit",
    [
      ...[`--data=${MAX_DATA_BYTES}`, "--", "bwrap"],
      ...jail,
      ...[
        "--bind",
        values.egress,
        JAIL.egressSocket,
        "--bind",
        folder,
        dirname(JAIL.devtoolsSocket),
        "--remount-ro",
        "/",
      ],
      ...["--", ...program, sandbox, values.executable, ...given],
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  return {
    chrome,
    devtoolsAt: () => ({ path: join(folder, basename(JAIL.devtoolsSocket)) }),
    cleanUp: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** In Chrome's own sandbox alone, on this machine's network: the proxy is a loopback port for this user only. */
async function startBare(): Promise<Started> {
  const proxy = await startBridge(LOOPBACK, { path: values.egress }, isOwnPeer);
  const flags = chromeFlags(given, { proxyPort: portOf(proxy), hasOwnSandbox: true });
  const chrome = spawn(
    "setpriv",
    ["--pdeathsig", "KILL", "prlimit", `--data=${MAX_DATA_BYTES}`, "--", values.executable, ...flags],
    {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, ...env },
    },
  );
  return { chrome, devtoolsAt: (port) => ({ host: "127.0.0.1", port }), cleanUp: () => {} };
}
