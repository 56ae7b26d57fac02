import type { ModelMessage } from "ai";
import type { RunRecord } from "./transcript.ts";

/** A run that has ended, to be read by people: how it ended, then who said what. */
export function describeConversation(run: RunRecord, messages: readonly ModelMessage[]): string {
  const facts = [
    `${run.runId}: ${run.status}`,
    `Models: ${run.modelsUsed.length === 0 ? "none answered" : run.modelsUsed.join(", ")}`,
    `Started: ${new Date(run.startedAtMs).toISOString()}`,
    `Turns: ${run.turns}`,
    ...run.notes.map((note) => `Note: ${note}`),
    ...(run.error === undefined ? [] : [`Error: ${run.error}`]),
  ];
  return [`# ${facts.join("\n")}`, ...messages.flatMap(describeMessage)].join("\n\n");
}

function describeMessage({ role, content }: ModelMessage): string[] {
  const name = role === "user" ? "Caller" : role === "assistant" ? "Sub-agent" : role;
  if (typeof content === "string") return content === "" ? [] : [`## ${name}`, content];
  return content.flatMap((part) => {
    if (part.type === "text") return part.text === "" ? [] : [`## ${name}`, part.text];
    if (part.type === "tool-call")
      return [`## Call of ${part.toolName}`, fenced(JSON.stringify(part.input, undefined, 2))];
    if (part.type === "tool-result") return [`## Result of ${part.toolName}`, fenced(describeValue(part.output))];
    return [];
  });
}

function describeValue(output: { readonly type: string; readonly value?: unknown }): string {
  return typeof output.value === "string" ? output.value : JSON.stringify(output.value ?? null, undefined, 2);
}

/** A fence longer than any within: what a tool returned stays inside. */
function fenced(text: string): string {
  const longest = (text.match(/`+/g) ?? []).reduce((most, { length }) => Math.max(most, length), 0);
  const fence = "`".repeat(Math.max(3, longest + 1));
  return `${fence}\n${text}\n${fence}`;
}
