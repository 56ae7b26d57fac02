import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { expect, test } from "vitest";
import { startInsideModel } from "../support/inside-model.ts";
import { startTestGateway } from "../support/test-gateway.ts";

test("the official SDKs hear what a model says, as it comes and whole", async () => {
  await using gateway = await startTestGateway({ key: "real-key" });
  await using suite = await startInsideModel({
    MODEL_BASE_URL: gateway.baseUrl,
    MODEL_API_KEY: "real-key",
    MODEL_DEFAULT: "test-model",
  });
  const anthropic = new Anthropic({ baseURL: suite.url, apiKey: "dummy" });
  const openai = new OpenAI({ baseURL: `${suite.url}/v1`, apiKey: "dummy" });
  gateway.script(
    { kind: "text", text: "Hello there" },
    { kind: "text", text: "Hello there" },
    { kind: "text", text: "Hello there" },
    { kind: "text", text: "Hello there" },
  );
  const m = await anthropic.messages
    .stream({ model: "claude-sonnet-5", max_tokens: 1000, messages: [{ role: "user", content: "Hi" }] })
    .finalMessage();
  console.log(JSON.stringify(m));
  console.log(
    JSON.stringify(
      await anthropic.messages.create({
        model: "claude-sonnet-5",
        max_tokens: 1000,
        messages: [{ role: "user", content: "Hi" }],
      }),
    ),
  );
  const c = await openai.chat.completions
    .stream({ model: "gpt-6-sol", messages: [{ role: "user", content: "Hi" }] })
    .finalChatCompletion();
  console.log(JSON.stringify(c));
  console.log(
    JSON.stringify(
      await openai.chat.completions.create({ model: "gpt-6-sol", messages: [{ role: "user", content: "Hi" }] }),
    ),
  );
  console.log(JSON.stringify(gateway.requests.map((r) => [r.headers.authorization, r.body])));
  console.log(JSON.stringify(await suite.books(), null, 1), suite.logs());
  expect(1).toBe(1);
});
