import type { BooksEntry, SessionCost, SessionUse } from "./book-table.ts";
import { dayOf, type Figures, NO_FIGURES, sumOf } from "./figures.ts";
import type { UsageDelta } from "./usage-table.ts";

/** One delta for each key: a busy moment's calls are much the same. */
export function folded(deltas: readonly UsageDelta[]): UsageDelta[] {
  const sums = new Map<string, UsageDelta>();
  for (const delta of deltas) {
    const { day, server, tool, model, clientId } = delta;
    const name = JSON.stringify([day, server, tool, model, clientId]);
    const known = sums.get(name);
    sums.set(name, known === undefined ? delta : { ...delta, ...sumOf(known, delta) });
  }
  return [...sums.values()];
}

/** The servers whose methods of MCP, and endpoints inside of sandboxes, are called by other names. */
const METHOD_SERVERS: Readonly<Record<string, string>> = {
  resources: "files",
  completion: "files",
  prompts: "files",
  skills: "files",
  tasks: "delegate",
  model: "delegate",
};

/** What one call adds to its person's usage. */
export function usageOfCall({ audit, cost, sandboxMs = 0 }: BooksEntry): UsageDelta {
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
    sandboxMs: Math.round(sandboxMs),
  };
}

/** What a stretch of a session adds to it. It is no call. */
export function usageOfSession({ atMs, nanoUsd, use }: SessionCost): UsageDelta {
  const of = use.kind === "model" ? { model: use.model, clientId: use.clientId } : { model: "", clientId: "" };
  return { day: dayOf(atMs), ...SOURCES[use.kind], ...of, ...NO_FIGURES, ...figuresOf(use, Math.round(nanoUsd)) };
}

const SOURCES: Readonly<Record<SessionUse["kind"], Pick<UsageDelta, "server" | "tool">>> = {
  browser: { server: "browser", tool: "browser/time" },
  sandbox: { server: "sandbox", tool: "sandbox/time" },
  storage: { server: "files", tool: "files/storage" },
  model: { server: "delegate", tool: "delegate/model" },
};

function figuresOf(use: SessionUse, nanoUsd: number): Partial<Figures> {
  switch (use.kind) {
    case "browser":
      return { browserMs: Math.round(use.ms), estimatedNanoUsd: nanoUsd };
    case "sandbox":
      return { sandboxMs: Math.round(use.ms), estimatedNanoUsd: nanoUsd };
    case "storage":
      return { estimatedNanoUsd: nanoUsd };
    case "model": {
      const { inputTokens, outputTokens, isMeasured } = use;
      const cost = isMeasured ? { nanoUsd } : { estimatedNanoUsd: nanoUsd };
      return { modelCalls: 1, inputTokens, outputTokens, ...cost };
    }
  }
}

export function serverOf(tool: string): string {
  const [name = tool] = tool.split(/[_/]/);
  return METHOD_SERVERS[name] ?? name;
}
