import type { AuditLine } from "./page-visit.ts";

/* What a test has counted by itself, in the shape in which the pages say it. */

/** What a model's endpoint reports. */
export interface ModelUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly cost?: number;
}

export interface AskedModel {
  readonly model: string;
  readonly usage: ModelUsage;
}

/** What the gateway calls a model that has answered. */
export function served(model: string): string {
  return `openai/${model}`;
}

interface Counted {
  readonly calls: number;
  readonly failed: number;
}

/** What somebody does on a page is in the audit, and no call. */
function isCall({ client_id: by }: AuditLine): boolean {
  return by !== "page" && !by.startsWith("admin:");
}

/** Calls and failed ones by what `keyOf` says of them. */
export function tally(lines: readonly AuditLine[], keyOf: (line: AuditLine) => string): Record<string, Counted> {
  const groups = Object.entries(Object.groupBy(lines.filter(isCall), keyOf));
  return Object.fromEntries(groups.map(([key, of = []]) => [key, sum(of)]));
}

export function sum(lines: readonly AuditLine[]): Counted {
  const calls = lines.filter(isCall);
  return { calls: calls.length, failed: calls.filter(({ outcome }) => outcome !== "ok").length };
}

/**
 * The same as a table has it. What sessions cost is in rows that have no calls. An id that begins as a formula does, as
 * one of a client may, has an apostrophe in front.
 */
export function tallied(rows: readonly Record<string, string>[]): Record<string, Counted> {
  const counted = rows.map(({ calls, failed, ...row }): [string, Counted] => [
    (Object.values(row)[0] ?? "").replace(/^'/, ""),
    { calls: Number(calls), failed: Number(failed) },
  ]);
  return Object.fromEntries(counted.filter(([, { calls }]) => calls > 0));
}

/** Tokens and dollars by model, as a table has them; `price` is for a million tokens where the endpoint says no cost. */
export function spent(
  asked: readonly AskedModel[],
  price: { readonly input: number; readonly output: number },
): Record<string, string>[] {
  const models = [...new Set(asked.map(({ model }) => model))].toSorted();
  return models.map((model) => {
    const of = asked.filter((one) => one.model === model).map(({ usage }) => usage);
    const all = (figure: (usage: ModelUsage) => number): number => of.reduce((total, one) => total + figure(one), 0);
    const estimate = (usage: ModelUsage): number =>
      usage.cost === undefined ? usage.prompt_tokens * price.input + usage.completion_tokens * price.output : 0;
    return {
      model: served(model),
      calls: String(of.length),
      input_tokens: String(all(({ prompt_tokens: tokens }) => tokens)),
      output_tokens: String(all(({ completion_tokens: tokens }) => tokens)),
      usd_measured: String(all(({ cost = 0 }) => Math.round(cost * 1e9)) / 1e9),
      usd_estimated: String(all(estimate) / 1e6),
    };
  });
}

/** The server whose a tool or method is. */
export function serverOf({ tool }: AuditLine): string {
  const [name = ""] = tool.split(/[_/]/);
  return { resources: "files", tasks: "delegate" }[name] ?? name;
}

/** Lines in one order, whenever each was written. */
export function byText(lines: readonly AuditLine[]): string[] {
  return lines.map((line) => JSON.stringify(inOrder(line))).toSorted();
}

const inOrder = ({ client_id, tool, outcome, input_digest, parent_run_id }: AuditLine): AuditLine => ({
  ...{ client_id, tool, outcome, input_digest },
  ...(parent_run_id === undefined ? {} : { parent_run_id }),
});
