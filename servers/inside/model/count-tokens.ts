import * as z from "zod";
import { modelEndpoint } from "../../delegate/model/endpoint.ts";
import { parseJson } from "../../shared/parse-json.ts";
import { readText } from "../../shared/read-text.ts";
import { present, readAsked } from "./ask-schema.ts";
import { type InsideModels, requestLabels } from "./ask.ts";
import { picturesIn } from "./chat-question.ts";
import { messagesAsChat } from "./messages-request.ts";
import { type MessagesRequest, messagesRequest } from "./messages-schema.ts";
import { MESSAGES } from "./messages.ts";
import { knownBetas, nativeRequest } from "./native-request.ts";
import { type ModelVisit, recorded } from "./recorded.ts";
import { mostInputTokens } from "./request-size.ts";
import { modelFor } from "./which-model.ts";

const TIMEOUT_MS = 10_000;
const MAX_COUNT_BYTES = 4_096;
const counted = z.object({ input_tokens: z.int().min(0) });

/** Agents ask in order to know when a conversation grows too long. */
export async function countTokens(visit: ModelVisit, models: InsideModels): Promise<Response> {
  let tokens = 0;
  const refused = await recorded("model/count_tokens", MESSAGES.refuse, visit, async (body) => {
    const asked = readAsked(messagesRequest, body);
    tokens = (await countedByAnthropic(asked, body, visit, models)) ?? estimated(asked);
    return 0;
  });
  return refused ?? Response.json({ input_tokens: tokens });
}

/** Costs nothing. `undefined` where another model is asked, where nothing is counted, and where that fails. */
async function countedByAnthropic(
  asked: MessagesRequest,
  body: unknown,
  { request, pipeline }: ModelVisit,
  { settings, fetcher }: InsideModels,
): Promise<number | undefined> {
  const { messages } = modelEndpoint(settings, requestLabels(pipeline.caller, `count-${crypto.randomUUID()}`)) ?? {};
  if (messages?.countUrl === undefined) return undefined;
  const model = messages.nameOf(modelFor(asked.model ?? undefined, settings));
  if (model === undefined) return undefined;
  const { system, tools, tool_choice, messages: said, output_config } = nativeRequest(asked, body);
  const { thinking } = asked;
  const betas = present({ "anthropic-beta": knownBetas(request.headers.get("anthropic-beta")) });
  const question = { model, system, tools, tool_choice, messages: said, output_config, thinking };
  try {
    const response = await fetcher(messages.countUrl, {
      method: "POST",
      headers: { ...messages.headers, ...betas, "content-type": "application/json" },
      body: JSON.stringify(question),
      // A redirect would take the key along.
      redirect: "manual",
      signal: AbortSignal.any([request.signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    const text = await readText(response.body, MAX_COUNT_BYTES);
    return response.ok ? counted.safeParse(parseJson(text ?? "")).data?.input_tokens : undefined;
  } catch {
    return undefined;
  }
}

/** Most texts have fewer tokens. */
const BYTES_PER_TOKEN = 3;

function estimated(asked: MessagesRequest): number {
  const chat = messagesAsChat(asked);
  return Math.ceil(mostInputTokens(JSON.stringify(chat), picturesIn(chat)) / BYTES_PER_TOKEN);
}
