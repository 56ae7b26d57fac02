import {
  CLIENT_CAPABILITIES_META_KEY,
  type CallToolResult,
  type GetPromptResult,
  type InputRequest,
  type InputRequiredResult,
  type ServerContext,
  acceptedContent,
  createRequestStateCodec,
  inputRequired,
  inputResponse,
} from "@modelcontextprotocol/server";
import * as z from "zod";
import type { FixtureTool } from "./fixture-tools.ts";

/** Signs what a tool wants to remember until the client comes back with its answers (SEP-2322). */
export const inputState = createRequestStateCodec<string>({ key: "the fixture keeps nothing that is secret" });

const envelope = z.object({ [CLIENT_CAPABILITIES_META_KEY]: z.record(z.string(), z.unknown()) });

const askForName = askFor("What is your name?", "name");
const askForGreeting = inputRequired.createMessage({
  messages: [{ role: "user", content: { type: "text", text: "Generate a greeting" } }],
  maxTokens: 50,
});
const confirm = inputRequired.elicit({
  message: "Please confirm",
  requestedSchema: { type: "object", properties: { ok: { type: "boolean" } }, required: ["ok"] },
});

/** Tools that answer a first call with requests for the client (multi-round-trip requests). */
export const INPUT_TOOLS: readonly FixtureTool[] = [
  tool("test_input_required_result_elicitation", async ({ mcpReq }) => {
    const name = acceptedContent(mcpReq.inputResponses, "user_name")?.["name"];
    return typeof name === "string"
      ? text(`Hello, ${name}!`)
      : inputRequired({ inputRequests: { user_name: askForName } });
  }),
  tool("test_input_required_result_sampling", async ({ mcpReq }) => {
    const answer = inputResponse(mcpReq.inputResponses, "capital_question");
    if (answer.kind === "sampling") return text(JSON.stringify(answer.result.content));
    const question = inputRequired.createMessage({
      messages: [{ role: "user", content: { type: "text", text: "What is the capital of France?" } }],
      maxTokens: 100,
    });
    return inputRequired({ inputRequests: { capital_question: question } });
  }),
  tool("test_input_required_result_list_roots", async ({ mcpReq }) => {
    const answer = inputResponse(mcpReq.inputResponses, "client_roots");
    if (answer.kind === "roots") return text(answer.roots.map(({ uri }) => uri).join(", "));
    return inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } });
  }),
  tool("test_input_required_result_request_state", remembering("state-ok")),
  tool("test_input_required_result_tampered_state", remembering("The state is as it was given out.")),
  tool("test_input_required_result_multiple_inputs", async ({ mcpReq }) => {
    const missing = ["user_name", "greeting", "client_roots"].filter((key) => !isAnswered(mcpReq, key));
    if (missing.length === 0) return text("All three requests were answered.");
    return inputRequired({
      inputRequests: { user_name: askForName, greeting: askForGreeting, client_roots: inputRequired.listRoots() },
      requestState: await inputState.mint("three requests"),
    });
  }),
  tool("test_input_required_result_multi_round", async ({ mcpReq }) => {
    const state = mcpReq.requestState<string>();
    const color = acceptedContent(mcpReq.inputResponses, "step2")?.["color"];
    if (state?.startsWith("name ") && typeof color === "string") return text(`${state}, color ${color}`);
    const name = acceptedContent(mcpReq.inputResponses, "step1")?.["name"];
    if (state === "asked for the name" && typeof name === "string") {
      const requestState = await inputState.mint(`name ${name}`);
      return inputRequired({
        inputRequests: { step2: askFor("Step 2: What is your favorite color?", "color") },
        requestState,
      });
    }
    const requestState = await inputState.mint("asked for the name");
    return inputRequired({ inputRequests: { step1: askFor("Step 1: What is your name?", "name") }, requestState });
  }),
  tool("test_input_required_result_capabilities", async ({ mcpReq }) => {
    const declared = Object.keys(envelope.parse(mcpReq.envelope)[CLIENT_CAPABILITIES_META_KEY]);
    const requests: Record<string, InputRequest> = {
      ...(declared.includes("sampling") ? { greeting: askForGreeting } : {}),
      ...(declared.includes("elicitation") ? { user_name: askForName } : {}),
    };
    const unanswered = Object.keys(requests).filter((key) => !isAnswered(mcpReq, key));
    return unanswered.length === 0 ? text("Nothing is left to ask.") : inputRequired({ inputRequests: requests });
  }),
];

/** The prompt that asks for its context first: input may be required of more than tools. */
export function answerInputPrompt({ mcpReq }: ServerContext): GetPromptResult | InputRequiredResult {
  const context = acceptedContent(mcpReq.inputResponses, "user_context")?.["context"];
  if (typeof context !== "string") {
    return inputRequired({ inputRequests: { user_context: askFor("What context should the prompt use?", "context") } });
  }
  return { messages: [{ role: "user", content: { type: "text", text: `The context is ${context}.` } }] };
}

function remembering(reply: string): FixtureTool["call"] {
  return async ({ mcpReq }) => {
    if (mcpReq.requestState<string>() === "asked to confirm" && isAnswered(mcpReq, "confirm")) return text(reply);
    return inputRequired({ inputRequests: { confirm }, requestState: await inputState.mint("asked to confirm") });
  };
}

function isAnswered({ inputResponses }: ServerContext["mcpReq"], key: string): boolean {
  return inputResponse(inputResponses, key).kind !== "missing";
}

function askFor(message: string, field: string): InputRequest {
  return inputRequired.elicit({
    message,
    requestedSchema: { type: "object", properties: { [field]: { type: "string" } }, required: [field] },
  });
}

function tool(name: string, call: FixtureTool["call"]): FixtureTool {
  return { name, description: "Asks the client before it answers", call };
}

function text(words: string): CallToolResult {
  return { content: [{ type: "text", text: words }] };
}
