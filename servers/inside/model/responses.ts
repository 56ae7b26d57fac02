import type { Dialect } from "./dialect.ts";
import { openAiError } from "./openai-error.ts";
import { readResponses } from "./responses-request.ts";

/** OpenAI's responses, as far as they keep nothing. */
export const RESPONSES: Dialect = {
  name: "model/responses",
  read: readResponses,
  refuse: openAiError,
};
