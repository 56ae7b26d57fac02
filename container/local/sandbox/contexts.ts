import type { CodeContextInfo } from "../../../servers/sandbox/driver.ts";
import type { AgentLink } from "./agent-link.ts";
import type { CodeRunResult } from "./code-result.ts";
import { CodeContext, type CodeRequest, type ContextLanguage } from "./context.ts";
import type { LiveOutput } from "./live-output.ts";
import { Problem } from "./problem.ts";

const MAX_CONTEXTS = 64;

interface Entry {
  readonly language: ContextLanguage;
  readonly name: string;
  readonly context: CodeContext;
}

/** The code contexts of one running sandbox, by language and name, in the order in which they were made. */
export class Contexts {
  readonly #link: AgentLink;
  readonly #outOfMemoryKills: () => number;
  readonly #entries = new Map<string, Entry>();

  constructor(link: AgentLink, outOfMemoryKills: () => number) {
    this.#link = link;
    this.#outOfMemoryKills = outOfMemoryKills;
  }

  async run(request: CodeRequest, live: LiveOutput, signal: AbortSignal): Promise<CodeRunResult> {
    return await this.#find(request).run(request, live, signal);
  }

  list(): CodeContextInfo[] {
    this.#forgetEnded();
    return [...this.#entries.values()].map(({ language, name, context }) => ({
      language,
      context: name,
      isBusy: context.isBusy,
    }));
  }

  #find({ language: asked, context: name, isFresh }: CodeRequest): CodeContext {
    this.#forgetEnded();
    const language = asked === "python" ? "python" : "javascript";
    const key = `${language}:${name}`;
    const known = this.#entries.get(key);
    if (known !== undefined && !isFresh) return known.context;
    // What still runs in the old one may end.
    void known?.context.retire();
    this.#entries.delete(key);
    if (this.#entries.size >= MAX_CONTEXTS)
      throw new Problem("limit_reached", `There are ${MAX_CONTEXTS} code contexts already; use one of them.`);
    const context = new CodeContext(this.#link, language, this.#outOfMemoryKills);
    this.#entries.set(key, { language, name, context });
    return context;
  }

  #forgetEnded(): void {
    for (const [key, { context }] of this.#entries) if (!context.isOpen) this.#entries.delete(key);
  }
}
