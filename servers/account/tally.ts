import type { BooksEntry } from "./book-table.ts";
import { dayOf, NO_FIGURES } from "./figures.ts";
import type { UsageDelta } from "./usage-table.ts";

/** The servers whose methods of MCP are called by other names. */
const METHOD_SERVERS: Readonly<Record<string, string>> = {
  resources: "files",
  completion: "files",
  prompts: "files",
  tasks: "delegate",
};

/** What one call adds to its person's usage. */
export function usageOfCall({ audit, cost }: BooksEntry): UsageDelta {
  return {
    day: dayOf(audit.atMs),
    server: serverOf(audit.tool),
    tool: audit.tool,
    model: "",
    clientId: audit.clientId,
    ...NO_FIGURES,
    calls: 1,
    failed: audit.outcome === "ok" ? 0 : 1,
    durationMs: Math.round(audit.durationMs),
    outputBytes: audit.outputBytes,
    estimatedNanoUsd: Math.round(cost.nanoUsd),
  };
}

export function serverOf(tool: string): string {
  const [name = tool] = tool.split(/[_/]/);
  return METHOD_SERVERS[name] ?? name;
}
