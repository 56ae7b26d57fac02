import path from "node:path";
import { findChrome } from "../../container/local/chrome/chrome.ts";
import { ADD, ANSWER_MS, ASK, CONTROLS, answerText, countText, pageTimeMs, serveBenchPage } from "./browser-page.ts";
import { type DrivenBrowser, drivePincer } from "./driven-browser.ts";
import { type Latencies, type Task, measure, summarize } from "./load.ts";
import { type Door, callForText, listTools } from "./mcp-requests.ts";
import { type PlaywrightMcp, startPlaywrightMcp } from "./playwright-mcp.ts";
import { startWholeSuite } from "./servers.ts";
import { countTokens } from "./sizes.ts";
import { type Row, describe, of, versus } from "./table.ts";

/** Kept from run to run. */
const CACHE = path.resolve(import.meta.dirname, "../../.pincer/cache/playwright-mcp");
const LOAD = { clients: 1, rounds: 12, perRound: 2 };

interface Peers {
  readonly own: DrivenBrowser;
  readonly other: DrivenBrowser;
}

/** The browser through a whole suite, over HTTP with sign-in, beside playwright-mcp on stdio; same Chrome, same page. */
export async function measureBrowser(dataDir: string): Promise<Row[]> {
  await using site = await serveBenchPage();
  await using suite = await startWholeSuite(dataDir, ["--allow-host", site.host]);
  const report = (line: string): void => console.log(line);
  const found = await findChrome({ dataDir, report, path: process.env["PATH"] ?? "" });
  if (!found.found) throw new Error(found.problem);
  await using other = await startPlaywrightMcp(CACHE, found.chrome, report);
  const own = drivePincer(async (tool, input) => await callForText(suite.door, tool, input));
  const peers = { own, other };
  return [
    await compareOpening(peers, site.origin),
    ...(await compareClicks(peers, site.origin)),
    await compareSnapshots(peers),
    await compareToolLists({ ...suite.door, mcpUrl: new URL("/mcp/browser", suite.door.mcpUrl) }, other),
  ];
}

async function compareOpening(peers: Peers, origin: string): Promise<Row> {
  let opened = 0;
  const openAndLook = (browser: DrivenBrowser) => async (): Promise<void> => {
    await browser.open(`${origin}/?opened=${(opened += 1)}`);
    expectIn({ said: await browser.snapshot(), expected: ASK });
  };
  const measured = await measure(
    [
      { name: "open", run: openAndLook(peers.own) },
      { name: "their open", run: openAndLook(peers.other) },
    ],
    LOAD,
  );
  const what = `open + snapshot of ${CONTROLS} controls, against playwright-mcp`;
  return { ...versus(what, of(measured, "open"), of(measured, "their open")), target: 0.8 };
}

/** On a button that changes a text at once, and on one whose text comes from the server later. */
async function compareClicks({ own, other }: Peers, origin: string): Promise<Row[]> {
  const [ours, theirs] = [await openToPress(own, origin), await openToPress(other, origin)];
  const beyondPageMs: number[] = [];
  const askOnly = async (): Promise<void> => {
    const startedMs = performance.now();
    const pressed = await ours.ask();
    expectIn(pressed);
    beyondPageMs.push(performance.now() - startedMs - pageTimeMs(pressed.said));
  };
  const clickAndLook = (["add", "ask"] as const).flatMap((button): Task[] => [
    {
      name: `${button} + look`,
      run: async () => {
        const pressed = await ours[button]();
        // It says what changed: nothing may be missed there.
        expectIn(pressed);
        expectIn({ ...pressed, said: await own.snapshot() });
      },
    },
    {
      name: `their ${button} + look`,
      run: async () => {
        const { expected } = await theirs[button]();
        expectIn({ said: await other.snapshot(), expected });
      },
    },
  ]);
  const measured = await measure(
    [{ name: "add", run: async () => expectIn(await ours.add()) }, { name: "ask", run: askOnly }, ...clickAndLook],
    LOAD,
  );
  const compare = (what: string, button: "add" | "ask"): Row =>
    versus(what, of(measured, `${button} + look`), of(measured, `their ${button} + look`));
  return [
    { ...compare("click + snapshot, the text changes at once", "add"), target: 0.25 },
    compare(`  the text comes ${ANSWER_MS} ms later, and is in the click's answer`, "ask"),
    actionRow("browser_click, warm", of(measured, "add")),
    actionRow("  beyond the page's own time, where the text comes later", summarize(beyondPageMs)),
  ];
}

function actionRow(what: string, own: Latencies): Row {
  return { what, measured: describe(own), value: own.p50Ms, unit: " ms", target: 60 };
}

interface Pressed {
  /** What the click was answered with. */
  readonly said: string;
  /** What the page shows once all is done. */
  readonly expected: string;
}

async function openToPress(
  browser: DrivenBrowser,
  origin: string,
): Promise<Readonly<Record<"add" | "ask", () => Promise<Pressed>>>> {
  await browser.open(origin);
  const snapshot = await browser.snapshot();
  const button = (name: string, textAfter: (clicks: number) => string) => {
    const ref = browser.refOf(snapshot, name);
    let clicks = 0;
    return async () => ({ said: await browser.click(ref), expected: textAfter((clicks += 1)) });
  };
  return { add: button(ADD, countText), ask: button(ASK, answerText) };
}

async function compareSnapshots({ own, other }: Peers): Promise<Row> {
  const what = `snapshot of ${CONTROLS} controls, o200k tokens`;
  return { ...tokens(what, await own.snapshot(), await other.snapshot()), target: 0.6 };
}

async function compareToolLists(own: Door, other: PlaywrightMcp): Promise<Row> {
  const [ours, theirs] = [await listTools(own, `"name":"browser_open"`), await other.listTools()];
  const what = `tool list, ${ours.length} against ${theirs.length}, o200k tokens`;
  return { ...tokens(what, JSON.stringify(ours), JSON.stringify(theirs)), target: 0.32 };
}

function tokens(what: string, own: string, other: string): Row {
  const [ours, theirs] = [countTokens(own), countTokens(other)];
  return { what, measured: `${ours}`, against: `${theirs}`, value: ours / theirs, unit: "×" };
}

function expectIn({ said, expected }: Pressed): void {
  if (!said.includes(expected)) throw new Error(`There is no ${expected} in: ${said}`);
}
