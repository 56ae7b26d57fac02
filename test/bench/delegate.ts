import type { ScriptedReply } from "../support/scripted-replies.ts";
import { type ScriptedModel, type TestGateway, startTestGateway } from "../support/test-gateway.ts";
import { type ToolClient, connectOfficial, textOf } from "../support/mcp-clients.ts";
import { type Latencies, summarize } from "./load.ts";
import { startWholeSuite } from "./servers.ts";
import { type Row, describe } from "./table.ts";

const TURNS = 60;
const WARM_UP_TURNS = 10;
const RUNS = 50;
const TURNS_OF_MANY = 5;
const USAGE = { prompt_tokens: 100, completion_tokens: 10 };

/** Sub-agents through the whole suite, with a model endpoint on loopback that answers at once. */
export async function measureDelegate(dataDir: string): Promise<Row[]> {
  await using gateway = await startTestGateway();
  await using suite = await startWholeSuite(dataDir, [], {
    MODEL_BASE_URL: gateway.baseUrl,
    MODEL_API_KEY: "bench",
    DELEGATE_RUNS_AT_ONCE: `${RUNS}`,
    DELEGATE_DAILY_TOKENS: "1000000000",
  });
  const { mcpUrl, token = "" } = suite.door;
  await using client = await connectOfficial(mcpUrl, token, "modern");
  const bareTurn = (turn: number): ScriptedReply => reply("no_such_tool", { turn });
  // The first round is dropped, as in all parts: the code of a suite that has just started is not compiled yet.
  await takeTurns(client, gateway, bareTurn);
  const bare = await takeTurns(client, gateway, bareTurn);
  const withTool = await takeTurns(client, gateway, (turn) => reply("files_list", { folder: `bench${turn}` }));
  const many = await runMany(client, gateway);
  return [
    {
      what: "a model turn of a run, beyond the endpoint's own time",
      measured: describe(bare),
      value: bare.p50Ms,
      unit: " ms",
      target: 10,
    },
    { what: "  with a call of files_list in it", measured: describe(withTool), value: withTool.p50Ms, unit: " ms" },
    {
      what: `${RUNS} runs of ${TURNS_OF_MANY} turns at once, those that did not complete`,
      value: many.failed,
      target: 0,
    },
    { what: "  from first to last", value: many.seconds, unit: " s" },
  ];
}

function reply(name: string, input: Readonly<Record<string, unknown>>): ScriptedReply {
  return { kind: "calls", calls: [{ name, input }], usage: USAGE };
}

/** The time from the end of one answer to a run's next request. */
async function takeTurns(
  client: ToolClient,
  gateway: TestGateway,
  turn: (turn: number) => ScriptedReply,
): Promise<Latencies> {
  const model = gateway.newModel();
  script(model, TURNS, turn);
  const status = await delegate(client, model, TURNS + 1);
  if (status !== "completed") throw new Error(`The run is ${status}.`);
  const taken = model.requests
    .slice(1)
    .map(({ receivedMs }, index) => receivedMs - (model.requests[index]?.answeredMs ?? receivedMs));
  return summarize(taken.slice(WARM_UP_TURNS));
}

async function runMany(client: ToolClient, gateway: TestGateway): Promise<{ failed: number; seconds: number }> {
  const startedMs = performance.now();
  const ended = await Promise.all(
    Array.from({ length: RUNS }, async () => {
      const model = gateway.newModel();
      script(model, TURNS_OF_MANY - 1, (nth) => reply("files_list", { folder: `bench${nth}` }));
      return await delegate(client, model, TURNS_OF_MANY);
    }),
  );
  const seconds = (performance.now() - startedMs) / 1_000;
  return { failed: ended.filter((status) => status !== "completed").length, seconds };
}

function script(model: ScriptedModel, turns: number, turn: (nth: number) => ScriptedReply): void {
  model.script(...Array.from({ length: turns }, (_, nth) => () => turn(nth)), {
    kind: "text",
    text: "Done.",
    usage: USAGE,
  });
}

async function delegate(client: ToolClient, { model }: ScriptedModel, turns: number): Promise<string> {
  const input = { task: "Bench.", model, budget: { turns, tokens: 5_000_000 }, wait_ms: 50_000 };
  const answer = await client.callTool("delegate_run", input);
  const status = answer.structuredContent?.["status"];
  return typeof status === "string" ? status : textOf(answer);
}
