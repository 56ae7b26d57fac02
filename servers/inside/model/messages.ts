import { anthropicError } from "./anthropic-error.ts";
import { readAsked } from "./ask-schema.ts";
import { chatQuestion } from "./chat-question.ts";
import type { Dialect } from "./dialect.ts";
import { MessageWriter } from "./messages-answer.ts";
import { messagesAsChat } from "./messages-request.ts";
import { messagesRequest } from "./messages-schema.ts";

/** Anthropic's messages. */
export const MESSAGES: Dialect = {
  name: "model/messages",
  read: (body) => {
    const asked = readAsked(messagesRequest, body);
    const { model, max_tokens: maxTokens } = asked;
    return {
      ...(model ? { model } : {}),
      isStream: asked.stream === true,
      ...(maxTokens === undefined || maxTokens === null ? {} : { maxTokens }),
      question: (endpoint, named) =>
        chatQuestion({ chat: messagesAsChat(asked), answer: (served) => new MessageWriter(served) }, endpoint, named),
    };
  },
  refuse: anthropicError,
};
