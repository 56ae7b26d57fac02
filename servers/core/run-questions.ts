import {
  CLIENT_CAPABILITIES_META_KEY,
  type InputRequests,
  type ServerContext,
  acceptedContent,
  inputRequired,
  inputResponse,
} from "@modelcontextprotocol/server";
import * as z from "zod";
import type { RunReport } from "../delegate/run-report.ts";

/* How what a delegated run asks gets to its caller, and the answer back: as a form that the client shows. */

const answerForm = z.object({ answer: z.string().min(1).max(100_000).describe("Your answer") });

const NOT_ANSWERED = "Your caller gave no answer; do what you can without it, and say what you needed.";

const mode = z.looseObject({}).optional();
/** The SDK has checked it; it gives it a type without keys. */
const envelope = z.object({
  [CLIENT_CAPABILITIES_META_KEY]: z.object({
    elicitation: z.object({ form: mode, url: mode }).optional(),
    extensions: z.record(z.string(), z.unknown()).optional(),
  }),
});

/** What the client declares with a request of 2026-07-28, as far as it matters here. */
export function capabilitiesOf({ mcpReq }: ServerContext) {
  return envelope.parse(mcpReq.envelope)[CLIENT_CAPABILITIES_META_KEY];
}

/** Whether the client shows forms: it may say so, or name no kind of elicitation at all. */
export function canBeAsked(context: ServerContext): boolean {
  const { elicitation } = capabilitiesOf(context);
  return elicitation !== undefined && (elicitation.form !== undefined || elicitation.url === undefined);
}

/** The question that a run waits with, for its caller's client; nothing where it waits with none. */
export function questionsOf(report: RunReport): InputRequests | undefined {
  if (report.status !== "input_required" || report.question === undefined) return undefined;
  return { [keyOf(report)]: inputRequired.elicit({ message: report.question, requestedSchema: answerForm }) };
}

/** Says which run asks, and when: each change of a run has a version of its own, so no key is used twice. */
function keyOf({ runId, version }: RunReport): string {
  return `${runId}.${version}`;
}

/** The run whose question a client answers. */
export function answeredRun({ mcpReq }: ServerContext): string | undefined {
  const [key = ""] = Object.keys(mcpReq.inputResponses ?? {});
  return /^(run-[0-9a-f]{16})\.\d+$/.exec(key)?.[1];
}

/** What the client answers to the question that the run waits with; an answer to another one is none. */
export function answerTo(report: RunReport, { mcpReq }: ServerContext): string | undefined {
  const key = keyOf(report);
  const response = inputResponse(mcpReq.inputResponses, key);
  if (report.status !== "input_required" || response.kind !== "elicit") return undefined;
  if (response.action !== "accept") return NOT_ANSWERED;
  return acceptedContent(mcpReq.inputResponses, key, answerForm)?.answer;
}
