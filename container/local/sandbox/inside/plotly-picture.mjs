import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";

/**
 * Draws one figure of plotly in the Chrome that the sandbox sees, without any network: standard input has the figure as
 * a line of JSON and plotly.js behind it, standard output is the PNG. Exits with 3 where there is no Chrome.
 */

const CHROMES = [
  "/usr/lib/chromium/chromium",
  "/usr/lib64/chromium-browser/chromium-browser",
  "/usr/lib/chromium-browser/chromium-browser",
  "/opt/chrome/chromium",
];
/** What the one in /opt/chrome brings with it. */
const LIBRARIES = "/opt/chrome/lib";
const FONTS = ["/usr/share/fonts", "/usr/share/matplotlib/mpl-data/fonts/ttf", "/opt/chrome/fonts"];
/** As plotly's own pictures where the layout says nothing. */
const [WIDTH, HEIGHT] = [700, 500];

/** @param {string} executable @param {string} folder */
function startChrome(executable, folder) {
  // The sandbox is the jail that Chrome's own would be a second one in.
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"];
  return spawn(executable, [...flags, `--user-data-dir=${join(folder, "profile")}`, "about:blank"], {
    stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
    env: { HOME: folder, LD_LIBRARY_PATH: LIBRARIES, FONTCONFIG_FILE: join(folder, "fonts.conf") },
  });
}

/** Chrome's DevTools on a pair of pipes: messages of JSON, each with a NUL behind it. @param {import("node:child_process").ChildProcess} chrome */
function talkWith(chrome) {
  const [, , , orders, answers] = chrome.stdio;
  /** @type {Map<number, PromiseWithResolvers<any>>} */
  const waiting = new Map();
  /** @type {Buffer[]} */
  let pieces = [];
  answers?.on("data", (/** @type {Buffer} */ piece) => {
    for (let end = piece.indexOf(0); end !== -1; end = piece.indexOf(0)) {
      const { id, result, error } = JSON.parse(Buffer.concat([...pieces, piece.subarray(0, end)]).toString());
      if (error === undefined) waiting.get(id)?.resolve(result);
      else waiting.get(id)?.reject(new Error(error.message));
      pieces = [];
      piece = piece.subarray(end + 1);
    }
    pieces.push(piece);
  });
  let last = 0;
  return async (
    /** @type {string} */ method,
    /** @type {object} */ params = {},
    /** @type {string} */ sessionId = "",
  ) => {
    const answer = Promise.withResolvers();
    waiting.set((last += 1), answer);
    const order = { id: last, method, params, ...(sessionId !== "" && { sessionId }) };
    if (orders !== null && orders !== undefined && "write" in orders) orders.write(`${JSON.stringify(order)}\0`);
    return await answer.promise;
  };
}

/** @param {ReturnType<typeof talkWith>} ask @param {string} figure @param {string} library */
async function draw(ask, figure, library) {
  const { targetId } = await ask("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await ask("Target.attachToTarget", { targetId, flatten: true });
  const run = async (/** @type {string} */ expression) => {
    const how = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails } = await ask("Runtime.evaluate", how, sessionId);
    if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description ?? "plotly.js failed");
    return result.value;
  };
  await run(`${library}\n;undefined`);
  const { width = WIDTH, height = HEIGHT } = JSON.parse(figure).layout ?? {};
  const url = await run(`Plotly.toImage(${figure}, ${JSON.stringify({ format: "png", width, height })})`);
  const [, base64] = /^data:image\/png;base64,(.+)$/.exec(String(url)) ?? [];
  if (base64 === undefined) throw new Error("Chrome gave no picture; it may be too large for it.");
  return Buffer.from(base64, "base64");
}

const executable = CHROMES.find((path) => existsSync(path));
if (executable === undefined) process.exit(3);
const given = await buffer(process.stdin);
const end = given.indexOf("\n");
const folder = await mkdtemp(join(tmpdir(), "plotly-"));
try {
  const dirs = FONTS.map((path) => `<dir>${path}</dir>`).join("");
  await writeFile(join(folder, "fonts.conf"), `<fontconfig>${dirs}<cachedir>${folder}</cachedir></fontconfig>`);
  const chrome = startChrome(executable, folder);
  const ended = once(chrome, "exit").then(() => Promise.reject(new Error("Chrome ended.")));
  const picture = draw(talkWith(chrome), given.toString("utf8", 0, end), given.toString("utf8", end + 1));
  process.stdout.write(await Promise.race([picture, ended]));
  ended.catch(() => undefined);
  chrome.kill("SIGKILL");
} finally {
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}
