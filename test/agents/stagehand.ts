import { serveSite } from "../browser/pages.ts";
import { textOf } from "../support/mcp-clients.ts";
import { startChatModel } from "./chat-model.ts";
import { startInsideSuite } from "./inside-suite.ts";

/** The last that speaks Chrome's own protocol. Version 4 works by an extension that it loads into Chrome. */
const PACKAGES = ["@browserbasehq/stagehand@3.7.3", "zod@4.6.6"];
const FOLDER = "/workspace/.cache/stagehand";
const PAGE = `<title>Counter</title><button onclick="this.textContent = Number(this.textContent) + 1">41</button>`;

const programFor = (url: string): string => `
  import { Stagehand } from "@browserbasehq/stagehand";
  import { z } from "zod";
  const stagehand = new Stagehand({
    env: "LOCAL",
    localBrowserLaunchOptions: { cdpUrl: "ws://browser.internal/devtools/browser/main" },
    model: { modelName: "openai/default", apiKey: "any", baseURL: "http://model.internal/v1" },
    verbose: 0,
    disablePino: true,
  });
  await stagehand.init();
  const page = stagehand.context.pages()[0] ?? (await stagehand.context.newPage());
  await page.goto(${JSON.stringify(url)});
  const { success, message } = await stagehand.act("click the counter");
  const { count } = await stagehand.extract("what does the counter say?", z.object({ count: z.string() }));
  console.log("RESULT " + JSON.stringify({ success, count, title: await page.title() }), success ? "" : message);
  await stagehand.close();
`;

/** Stagehand, installed in the sandbox: acts on a page and reads it, with the suite's browser and model. */
export async function tryStagehand(dataDir: string): Promise<string> {
  await using site = await serveSite("127.0.0.1", { "/": PAGE });
  // It is told the page as a tree: `[0-12] button: 41`.
  await using model = await startChatModel((messages) => {
    const said = JSON.stringify(messages);
    const [, elementId, label] = /\[(\d+-\d+)\] button: (\d+)/.exec(said) ?? [];
    if (said.includes("completion status")) return JSON.stringify({ progress: "all of it", completed: true });
    if (said.includes("what does the counter say")) return JSON.stringify({ count: label ?? "none" });
    const action = { elementId, description: "the counter", method: "click", arguments: [] };
    return JSON.stringify({ action: elementId === undefined ? null : action, twoStep: false });
  });
  await using suite = await startInsideSuite(dataDir, model.url, [site.host]);
  await suite.install(PACKAGES, FOLDER);
  await suite.call("sandbox_write", { path: `${FOLDER}/program.mjs`, content: programFor(`${site.origin}/`) });
  const { exitCode, said } = await suite.run(`node ${FOLDER}/program.mjs`);
  if (!said.includes(`RESULT {"success":true,"count":"42","title":"Counter"}`)) {
    throw new Error(`it ended with ${exitCode}:\n${said}`);
  }
  const seen = textOf(await suite.call("browser_snapshot", {}));
  if (!seen.includes('button "42"')) throw new Error(`the browser's tools see something else: ${seen}`);
  return "clicked and read a page in the suite's browser, with its model";
}
