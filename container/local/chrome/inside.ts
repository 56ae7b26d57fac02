// Runs inside Chrome's jail, which has a network with nobody in it: makes the two ways in and out, and starts Chrome.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { portOf, startBridge } from "./bridge.ts";
import { chromeFlags } from "./flags.ts";

const [egressSocket = "", devtoolsSocket = "", profile = "", sandbox = "", executable = "", ...given] =
  process.argv.slice(2);

const proxy = await startBridge({ host: "127.0.0.1", port: 0 }, { path: egressSocket });
const flags = chromeFlags(given, { proxyPort: portOf(proxy), profile, hasOwnSandbox: sandbox === "own" });
const chrome = spawn(executable, flags, { stdio: ["ignore", "ignore", "pipe"] });
chrome.on("error", (error) => {
  console.error(error.message);
  process.exit(127);
});
chrome.on("exit", (code) => process.exit(code ?? 1));

// What Chrome says until it is up explains why it is not; what it says later is noise.
let isUp = false;
for await (const line of createInterface({ input: chrome.stderr })) {
  if (isUp) continue;
  const port = /^DevTools listening on ws:\/\/127\.0\.0\.1:(\d+)\//.exec(line)?.[1];
  if (port !== undefined) {
    await startBridge({ path: devtoolsSocket }, { host: "127.0.0.1", port: Number(port) });
    isUp = true;
  }
  console.error(line);
}
