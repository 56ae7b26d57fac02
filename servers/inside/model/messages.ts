import { anthropicError } from "./anthropic-error.ts";
import type { Dialect } from "./dialect.ts";
import { readMessages } from "./messages-request.ts";

/** Anthropic's messages. */
export const MESSAGES: Dialect = {
  name: "model/messages",
  read: readMessages,
  refuse: anthropicError,
};
