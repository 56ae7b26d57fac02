/** A browser as a model drives it by tools. Each method rejects where the tool fails. */
export interface DrivenBrowser {
  open(url: string): Promise<string>;
  snapshot(): Promise<string>;
  /** Returns what the click itself is answered with. */
  click(ref: string): Promise<string>;
  /** The ref of the button of that name in a snapshot. */
  refOf(snapshot: string, button: string): string;
}

/** Calls a tool and returns the text of its answer. */
export type CallForText = (tool: string, input: Readonly<Record<string, unknown>>) => Promise<string>;

/** Pincer's. */
export function drivePincer(run: CallForText): DrivenBrowser {
  return {
    open: async (url) => await run("browser_open", { url }),
    snapshot: async () => await run("browser_snapshot", {}),
    click: async (ref) => await run("browser_click", { ref }),
    refOf: (snapshot, button) => firstIn(snapshot, new RegExp(`\\[(\\w+)\\] button "${button}"`)),
  };
}

/** playwright-mcp's. */
export function drivePlaywright(run: CallForText): DrivenBrowser {
  return {
    open: async (url) => await run("browser_navigate", { url }),
    snapshot: async () => await run("browser_snapshot", {}),
    click: async (ref) => await run("browser_click", { target: ref }),
    refOf: (snapshot, button) => firstIn(snapshot, new RegExp(`button "${button}".* \\[ref=(\\w+)\\]`)),
  };
}

function firstIn(text: string, pattern: RegExp): string {
  const [, first] = pattern.exec(text) ?? [];
  if (first === undefined) throw new Error(`There is no ${pattern.source} in: ${text}`);
  return first;
}
