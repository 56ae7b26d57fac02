import { anthropicError } from "./anthropic-error.ts";
import { readAsked } from "./ask-schema.ts";
import { chatQuestion } from "./chat-question.ts";
import type { Dialect } from "./dialect.ts";
import { MessageWriter } from "./messages-answer.ts";
import { messagesAsChat } from "./messages-request.ts";
import { messagesRequest } from "./messages-schema.ts";
import { nativeQuestion } from "./native-question.ts";

/** Anthropic's messages: to Anthropic's own models as they are, where the endpoint takes them so, to others as a chat. */
export const MESSAGES: Dialect = {
  name: "model/messages",
  read: (body, headers) => {
    const asked = readAsked(messagesRequest, body);
    const { model, max_tokens: maxTokens } = asked;
    return {
      ...(model ? { model } : {}),
      isStream: asked.stream === true,
      ...(maxTokens === undefined || maxTokens === null ? {} : { maxTokens }),
      question: (endpoint, named) => {
        const { messages } = endpoint;
        const name = messages?.nameOf(named);
        if (messages !== undefined && name !== undefined) {
          return nativeQuestion({ asked, body, headers }, endpoint, messages, name);
        }
        const asChat = { chat: messagesAsChat(asked), answer: (served: string) => new MessageWriter(served) };
        return chatQuestion(asChat, endpoint, named);
      },
    };
  },
  refuse: anthropicError,
};
