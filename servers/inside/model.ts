import { ToolError } from "../shared/errors.ts";
import { answerModelCall } from "./model/answer.ts";
import { anthropicError } from "./model/anthropic-error.ts";
import type { InsideModels } from "./model/ask.ts";
import { CHAT } from "./model/chat.ts";
import type { Dialect } from "./model/dialect.ts";
import { countTokens } from "./model/count-tokens.ts";
import { listModels, showModel } from "./model/lists.ts";
import { MESSAGES } from "./model/messages.ts";
import { openAiError } from "./model/openai-error.ts";
import { RESPONSES } from "./model/responses.ts";
import { type ModelVisit, refusalResponse } from "./model/recorded.ts";

type Answering = (visit: ModelVisit, models: InsideModels) => Promise<Response>;

const asking =
  (dialect: Dialect): Answering =>
  async (visit, models) =>
    await answerModelCall(dialect, visit, models);

const ROUTES: Readonly<Record<string, Answering>> = {
  "POST /chat/completions": asking(CHAT),
  "POST /responses": asking(RESPONSES),
  "POST /messages": asking(MESSAGES),
  "POST /messages/count_tokens": countTokens,
  "GET /models": listModels,
  "GET /models/…": showModel,
};

/** What stands before the paths where programs are told a base URL in one of the usual ways. */
const PREFIX = /^(?:\/openai|\/anthropic)?(?:\/v1)?(?=\/)/;

/** `http://model.internal`: models as OpenAI and Anthropic offer them, on the account of whoever owns the sandbox. */
export async function serveInsideModel(visit: ModelVisit, models: InsideModels): Promise<Response> {
  const { method, url, headers } = visit.request;
  const { pathname } = new URL(url);
  const route = pathname.replace(PREFIX, "").replace(/^\/models\/.+/, "/models/…");
  const answer = ROUTES[`${method} ${route}`];
  if (answer !== undefined) return await answer(visit, models);
  const message = `There is no ${method} ${pathname}; there are ${Object.keys(ROUTES).join(", ")}, each below /v1.`;
  const refuse = headers.has("anthropic-version") ? anthropicError : openAiError;
  return refusalResponse(refuse, new ToolError("not_found", message));
}
