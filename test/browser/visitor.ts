import type { Person } from "./browser-suite.ts";

type Input = Readonly<Record<string, unknown>>;

/** A person at one browser, who names elements as snapshots show them, such as `button "Pay"`. */
export interface Visitor {
  readonly open: (path: string) => Promise<string>;
  readonly see: (input?: Input) => Promise<string>;
  readonly find: (text: string) => Promise<string>;
  readonly refOf: (what: string) => Promise<string>;
  /** The answer, as that of every action, says what changed. */
  readonly click: (what: string, input?: Input) => Promise<string>;
  readonly type: (what: string, text: string, press?: string) => Promise<string>;
  readonly fillIn: (values: Readonly<Record<string, string>>) => Promise<string>;
}

export function visitorOf(person: Person, origin: string): Visitor {
  const see: Visitor["see"] = async (input) => await person.read("browser_snapshot", { max_chars: 50_000, ...input });
  const refOfShown: Visitor["refOf"] = async (what) => refOf(await see(), what);
  return {
    open: async (path) => await person.read("browser_open", { url: `${origin}${path}` }),
    see,
    find: async (text) => await person.read("browser_snapshot", { find: text }),
    refOf: refOfShown,
    click: async (what, input) => await person.read("browser_click", { ref: await refOfShown(what), ...input }),
    type: async (what, text, press) =>
      await person.read("browser_type", {
        ref: await refOfShown(what),
        text,
        ...(press === undefined ? {} : { press }),
      }),
    fillIn: async (values) => {
      const shown = await see();
      const fields = Object.entries(values).map(([what, value]) => ({ ref: refOf(shown, what), value }));
      return await person.read("browser_fill", { fields });
    },
  };
}

/** The ref of the first element that a snapshot shows that way. */
export function refOf(snapshot: string, what: string): string {
  const shown = [...snapshot.matchAll(/\[((?:f\d+)?e\d+)\] ([^[\n]*)/g)];
  const [, ref] = shown.find(([, , text = ""]) => text.startsWith(what)) ?? [];
  if (ref === undefined) throw new Error(`The snapshot shows no ${what}:\n${snapshot}`);
  return ref;
}
