import { version as fitVersion } from "@xterm/addon-fit/package.json";
import { version as xtermVersion } from "@xterm/xterm/package.json";

const BASE = "/account/terminal";

function file(asset: string, version: string, type: string) {
  const [, name = "", ending = ""] = /([\w-]+)\.(\w+)$/.exec(asset) ?? [];
  return { asset, path: `${BASE}/${name}-${version}.${ending}`, type };
}

const XTERM = file("/xterm/lib/xterm.mjs", xtermVersion, "text/javascript; charset=utf-8");
const XTERM_STYLE = file("/xterm/css/xterm.css", xtermVersion, "text/css; charset=utf-8");
const FIT = file("/addon-fit/lib/addon-fit.mjs", fitVersion, "text/javascript; charset=utf-8");

/** What the page loads, by the path that it has here and the one that it has among the assets. */
export const TERMINAL_FILES = [XTERM, XTERM_STYLE, FIT];

export const TERMINAL_STYLE = `
main { padding-bottom: 0.5rem; }
#terminal { height: max(18rem, calc(100dvh - 15rem)); background: var(--card); border: 1px solid var(--line); border-radius: var(--radius); overflow: hidden; }
/* What the number of rows and columns goes by. */
#terminal .xterm { height: 100%; padding: 0.5rem; }
/* It has a scroll bar of its own, and the page's colours. */
#terminal .xterm-viewport { overflow: hidden; background: none; }
#terminal:focus-within { border-color: var(--accent); }
.terminal-foot { display: flex; flex-wrap: wrap; align-items: center; gap: 0.4rem 1.25rem; }
.terminal-foot button { margin-inline-start: auto; }
.terminal-foot label { font-weight: 400; }
`;

/** Draws a terminal and keeps it connected to its shell, which its address names. */
export const TERMINAL_SCRIPT = String.raw`
import { Terminal } from "${XTERM.path}";
import { FitAddon } from "${FIT.path}";

const byId = (id) => document.getElementById(id);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const box = byId("terminal");
const { sandbox } = box.dataset;
const say = (words) => (byId("terminal-state").textContent = words);

// The terminal writes styles of its own, and the page's policy lets those in that have its nonce; colours that have no
// class come as an attribute, which it keeps out, where the same by property may pass.
const { nonce } = document.querySelector("script[nonce]");
const make = document.createElement.bind(document);
document.createElement = (name, options) =>
  Object.assign(make(name, options), name === "style" || name === "link" ? { nonce } : {});
const { setAttribute } = Element.prototype;
HTMLElement.prototype.setAttribute = function (name, value) {
  if (name === "style") this.style.cssText = value;
  else setAttribute.call(this, name, value);
};
const sheet = Object.assign(document.createElement("link"), { rel: "stylesheet", href: "${XTERM_STYLE.path}" });
await new Promise((done) => {
  sheet.onload = sheet.onerror = done;
  document.head.append(sheet);
});

function look() {
  const page = getComputedStyle(document.documentElement);
  const colour = (name) => page.getPropertyValue(name).trim();
  return {
    background: colour("--card"),
    foreground: colour("--text"),
    cursor: colour("--accent"),
    cursorAccent: colour("--card"),
    selectionBackground: colour("--estimated"),
  };
}
const terminal = new Terminal({
  fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
  fontSize: 14,
  scrollback: 10_000,
  minimumContrastRatio: 4.5,
  theme: look(),
  screenReaderMode: localStorage.getItem("aloud") === "yes",
});
const fit = new FitAddon();
terminal.loadAddon(fit);
terminal.open(box);
fit.fit();
new ResizeObserver(() => fit.fit()).observe(box);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (terminal.options.theme = look()));

byId("aloud").checked = terminal.options.screenReaderMode;
byId("aloud").addEventListener("change", ({ target }) => {
  terminal.options.screenReaderMode = target.checked;
  localStorage.setItem("aloud", target.checked ? "yes" : "no");
});

terminal.attachCustomKeyEventHandler((event) => {
  const { type, code, ctrlKey, shiftKey } = event;
  const isCopy = ctrlKey && shiftKey && code === "KeyC";
  const isLeave = shiftKey && code === "F6";
  if (!isCopy && !isLeave) return true;
  event.preventDefault();
  if (type === "keydown" && isLeave) byId("aloud").focus();
  if (type === "keydown" && isCopy && terminal.hasSelection()) navigator.clipboard.writeText(terminal.getSelection());
  return false;
});

const KEPT = "shell-" + sandbox;
let shell = location.hash.slice(1) || sessionStorage.getItem(KEPT) || "";
let [socket, seen, held, tries, isTalking, isOver] = [undefined, undefined, "", 0, false, false];

function keep(id) {
  shell = id;
  history.replaceState(null, "", id === "" ? location.pathname + location.search : "#" + id);
  sessionStorage.setItem(KEPT, id);
}

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function socketUrl() {
  const query = { sandbox, rows: terminal.rows, columns: terminal.cols };
  if (shell !== "") query.shell = shell;
  if (seen !== undefined) query.at = seen;
  return "${BASE}/socket?" + new URLSearchParams(query);
}

function connect() {
  const mine = new WebSocket(location.origin.replace(/^http/, "ws") + socketUrl());
  [socket, isTalking] = [mine, false];
  mine.onmessage = ({ data }) => mine === socket && hear(JSON.parse(data));
  mine.onclose = () => mine === socket && !isOver && comeBack();
}

function hear(message) {
  if ("starting" in message) say("Starting the sandbox… " + message.starting);
  if ("over" in message) over(message.over);
  if ("again" in message) {
    const old = socket;
    connect();
    old.close();
  }
  if ("shell" in message) {
    if (message.isReset) terminal.reset();
    keep(message.shell);
    tries = 0;
    say("Connected");
    if (held !== "") send({ input: held });
    [held, isTalking] = ["", true];
  }
  if ("output" in message) {
    seen = message.at;
    const from = socket;
    terminal.write(message.output, () => from === socket && send({ seen: message.at }));
  }
}

function over(words) {
  [isTalking, isOver] = [false, true];
  say(words);
}

/** Asks why the WebSocket is closed, and opens another where there is no reason. */
async function comeBack() {
  const lost = socket;
  isTalking = false;
  say("Reconnecting…");
  await pause(Math.min(5_000, 200 * 2 ** tries++));
  const answer = await fetch(socketUrl()).catch(() => undefined);
  // A new shell was asked for meanwhile.
  if (socket !== lost) return;
  if (answer === undefined || answer.status >= 500) return comeBack();
  if (answer.status === 426) return connect();
  if (answer.ok) return over("Your session has ended: load the page again to sign in. The shell goes on.");
  over(new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("h1 + p").textContent);
}

terminal.onData((input) => {
  if (isTalking) send({ input });
  else if (!isOver) held = (held + input).slice(0, 10_000);
});
let resizing;
terminal.onResize(({ rows, cols: columns }) => {
  clearTimeout(resizing);
  resizing = setTimeout(() => send({ size: { rows, columns } }), 100);
});
byId("new-shell").addEventListener("click", () => {
  const old = socket;
  socket = undefined;
  old?.close();
  keep("");
  [seen, held, tries, isTalking, isOver] = [undefined, "", 0, false, false];
  terminal.reset();
  terminal.focus();
  say("Connecting…");
  connect();
});

say("Connecting…");
connect();
terminal.focus();
`;
