import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";
import { type CallToolResult, Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import * as z from "zod";
import { readSuite, requestToken } from "./running-suite.ts";

/**
 * `npm run demo`: a real MCP client does the main job over HTTP. A CSV goes into files, the interpreter draws it,
 * the sandbox writes a report, the browser opens it, and where a model endpoint is set a sub-agent summarises it.
 */

const CSV = path.resolve(import.meta.dirname, "../../test/data/seattle-weather.csv");
const REPORT = "demo/report.html";

const ANALYSE = `
import pandas as pd
import matplotlib.pyplot as plt

weather = pd.read_csv("/workspace/files/demo/seattle-weather.csv", parse_dates=["date"])
months = weather.groupby(weather.date.dt.month).agg(rain=("precipitation", "sum"), warmest=("temp_max", "mean"))
months["rain"] /= weather.date.dt.year.nunique()

figure, rain = plt.subplots(figsize=(8, 4.2), layout="constrained")
rain.bar(months.index, months.rain, color="#7fb2d9", label="rain, mm a month")
rain.set_xticks(range(1, 13), ["J", "F", "M", "A", "M", "J", "J", "A", "S", "O", "N", "D"])
rain.set_ylabel("rain, mm")
warmth = rain.twinx()
warmth.plot(months.index, months.warmest, color="#d9534f", linewidth=2.5, marker="o", label="mean daily high, °C")
warmth.set_ylabel("mean daily high, °C")
rain.set_title("Seattle 2012–2015: dry when it is warm")
figure.legend(loc="upper left", bbox_to_anchor=(0.08, 0.9))
figure.savefig("/workspace/files/demo/chart.png", dpi=110)
plt.show()
months.round(1)
`;

const WRITE_REPORT = `
set -eu
cd /workspace/files/demo
rainy=$(awk -F, 'NR > 1 && $2 > 0' seattle-weather.csv | wc -l)
days=$(awk 'NR > 1' seattle-weather.csv | wc -l)
cat > report.html <<HTML
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Seattle weather, 2012 to 2015</title>
<style>body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
img { max-width: 100% }</style>
<h1>Seattle weather, 2012 to 2015</h1>
<p>It rained on <strong>$rainy of $days days</strong>.</p>
<img alt="Rain and mean daily high by month" src="data:image/png;base64,$(base64 -w0 chart.png)">
<p>Source: NOAA daily summaries, public domain.</p>
</html>
HTML
ls -l report.html
`;

interface Step {
  readonly title: string;
  readonly tool: string;
  readonly input: Record<string, unknown>;
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { data: { type: "string", default: ".pincer" } } });
  const suite = await readSuite(values.data);
  const token = await requestToken(suite, { name: "demo", expiresInSeconds: 3_600 });
  const client = new Client({ name: "pincer-demo", version: "0.1.0" });
  await client.connect(
    new StreamableHTTPClientTransport(new URL("/mcp", suite.url), {
      requestInit: { headers: { Authorization: `Bearer ${token}` } },
    }),
  );
  const out = path.join(values.data, "demo");
  await mkdir(out, { recursive: true });
  const run = stepRunner(client);
  try {
    const csv = await readFile(CSV, "utf8");
    await run({
      title: "Store a CSV in files",
      tool: "files_write",
      input: { path: "demo/seattle-weather.csv", content: csv },
    });
    const chart = await run({
      title: "Analyse it in Python and draw a chart",
      tool: "interpreter_run",
      input: { code: ANALYSE, language: "python", context: "demo" },
    });
    await saveImage(chart, path.join(out, "chart.png"));
    await run({ title: "Write an HTML report in the sandbox", tool: "sandbox_exec", input: { command: WRITE_REPORT } });
    const link = await run({ title: "Make a link to the report", tool: "files_share", input: { path: REPORT } });
    await run({ title: "Open it in the browser", tool: "browser_open", input: { url: urlOf(link) } });
    const page = await run({ title: "Read the page", tool: "browser_snapshot", input: {} });
    console.log(indent(textOf(page)));
    const picture = await run({ title: "Take a picture of it", tool: "browser_screenshot", input: {} });
    await saveImage(picture, path.join(out, "page.png"));
    await summarise(client, run);
  } finally {
    await client.close();
  }
}

/** The sub-agent's part, where the suite has a model endpoint; where it has none, what the tool says about that. */
async function summarise(client: Client, run: Run): Promise<void> {
  const input = { task: `Summarise ${REPORT} in my files in two sentences. Use the files and sandbox tools.` };
  const step = { title: "Have a sub-agent summarise the report", tool: "delegate_run", input };
  try {
    console.log(indent(textOf(await run(step))));
  } catch (failure) {
    if (!(failure instanceof StepFailed) || !failure.message.startsWith("unavailable: ")) throw failure;
    console.log(`   left out: ${failure.message}`);
  }
}

type Run = (step: Step) => Promise<CallToolResult>;

class StepFailed extends Error {}

/** Calls one tool after the other and prints what each took. */
function stepRunner(client: Client): Run {
  let number = 0;
  return async ({ title, tool, input }) => {
    number += 1;
    const startedMs = performance.now();
    const result = await client.callTool({ name: tool, arguments: input });
    const tookMs = Math.round(performance.now() - startedMs);
    console.log(`${String(number).padStart(2)} ${title} (${tool}) ${tookMs} ms`);
    if (result.isError === true) throw new StepFailed(textOf(result));
    return result;
  };
}

function textOf(result: CallToolResult): string {
  return result.content.flatMap((block) => (block.type === "text" ? [block.text] : [])).join("\n");
}

const shared = z.object({ url: z.string() });

function urlOf(link: CallToolResult): string {
  return shared.parse(link.structuredContent).url;
}

async function saveImage(result: CallToolResult, file: string): Promise<void> {
  const image = result.content.find((block) => block.type === "image");
  if (image === undefined) throw new StepFailed(`There is no picture for ${path.basename(file)}.`);
  await writeFile(file, image.data, "base64");
  console.log(`   ${file}`);
}

function indent(text: string): string {
  const lines = text.split("\n");
  const shown = lines.slice(0, 12).map((line) => `   ${line}`);
  return lines.length > shown.length
    ? [...shown, `   … ${lines.length - shown.length} more lines`].join("\n")
    : shown.join("\n");
}

try {
  await main();
} catch (failure) {
  console.error(failure instanceof Error ? failure.message : failure);
  process.exitCode = 1;
}
