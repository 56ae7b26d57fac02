import { ToolError } from "../shared/errors.ts";

/** A compiled glob, as far as a listing can make use of it. */
export interface Glob {
  /** The folder that all matches are in, such as `reports/`, and how their names in it begin. */
  readonly folder: string;
  readonly namePrefix: string;
  /** Whether it may match below that folder's own names. */
  readonly isDeep: boolean;
  readonly matches: (path: string) => boolean;
}

/** One step of the automaton. A `fork` is in several places at once, without taking a character. */
type Step =
  | { readonly take: "char"; readonly char: string }
  | { readonly take: "name" | "rest" | "one" }
  | { readonly take: "fork"; readonly to: readonly number[] };

/**
 * `*` and `?` within a name, `**` across folders, `{a,b}`; everything else is itself. Matching walks all possibilities
 * side by side, one pass over the path: no glob makes it take longer than its length times the path's.
 */
export function parseGlob(glob: string): Glob {
  const chars = Array.from(glob.normalize("NFC").replace(/^\/+/, ""));
  const wild = chars.findIndex((char) => "*?{".includes(char));
  const literal = chars.slice(0, wild === -1 ? chars.length : wild).join("");
  const folder = literal.slice(0, literal.lastIndexOf("/") + 1);
  const rest = chars.slice(folder.length).join("");
  return {
    folder,
    namePrefix: literal.slice(folder.length),
    isDeep: rest.includes("/") || rest.includes("**"),
    matches: createMatcher(compile(chars)),
  };
}

function compile(chars: readonly string[]): Step[] {
  const steps: Step[] = [];
  /** For each brace that is open: the fork to its alternatives, and the jumps from their ends to its own. */
  const open: { readonly fork: number; readonly starts: number[]; readonly ends: number[] }[] = [];
  for (let at = 0; at < chars.length; at++) {
    const char = chars[at] ?? "";
    const brace = open.at(-1);
    if (char === "*" && chars[at + 1] === "*") {
      const isFolders = chars[at + 2] === "/";
      at += isFolders ? 2 : 1;
      // `**/` is any number of folders, none too.
      const past = steps.length + (isFolders ? 3 : 1);
      if (isFolders) steps.push({ take: "fork", to: [steps.length + 1, past] });
      steps.push({ take: "rest" });
      if (isFolders) steps.push({ take: "char", char: "/" });
    } else if (char === "*") steps.push({ take: "name" });
    else if (char === "?") steps.push({ take: "one" });
    else if (char === "{") {
      open.push({ fork: steps.length, starts: [steps.length + 1], ends: [] });
      steps.push({ take: "fork", to: [] });
    } else if (brace !== undefined && (char === "," || char === "}")) {
      brace.ends.push(steps.length);
      steps.push({ take: "fork", to: [] });
      if (char === ",") brace.starts.push(steps.length);
      else {
        steps[brace.fork] = { take: "fork", to: brace.starts };
        for (const end of brace.ends) steps[end] = { take: "fork", to: [steps.length] };
        open.pop();
      }
    } else steps.push({ take: "char", char });
  }
  if (open.length > 0) throw new ToolError("invalid_input", "The glob has a { without its }; close it.");
  return steps;
}

/** Where a path may have led to so far, and what each next character makes of it. */
interface State {
  readonly places: readonly number[];
  readonly next: Map<string, State>;
}

/** As many as are kept: the paths of one listing go through the same few, unless a glob is made to have many. */
const MAX_STATES = 1_000;

function createMatcher(steps: readonly Step[]): (path: string) => boolean {
  const states = new Map<string, State>();
  const stateOf = (from: readonly number[]): State => {
    const places = spread(steps, from);
    const name = String.fromCharCode(...places);
    const known = states.get(name);
    if (known !== undefined) return known;
    const state = { places, next: new Map() };
    if (states.size < MAX_STATES) states.set(name, state);
    return state;
  };
  const start = stateOf([0]);
  return (path) => {
    let state = start;
    for (const char of path) {
      let next = state.next.get(char);
      if (next === undefined) {
        next = stateOf(reached(steps, state.places, char));
        if (states.size < MAX_STATES) state.next.set(char, next);
      }
      if (next.places.length === 0) return false;
      state = next;
    }
    return state.places.at(-1) === steps.length;
  };
}

/** The places that taking the character leads to. */
function reached(steps: readonly Step[], places: readonly number[], char: string): number[] {
  const next: number[] = [];
  for (const place of places) {
    const step = steps[place];
    if (step === undefined || step.take === "fork") continue;
    if (step.take === "rest" || (step.take === "name" && char !== "/")) next.push(place);
    else if (step.take === "char" ? step.char === char : step.take === "one" && char !== "/") next.push(place + 1);
  }
  return next;
}

/** The places with all that are reached from them without taking a character: past forks, and past stars. In order. */
function spread(steps: readonly Step[], from: readonly number[]): number[] {
  const isMet = new Uint8Array(steps.length + 1);
  const left = [...from];
  for (let place = left.pop(); place !== undefined; place = left.pop()) {
    if (isMet[place] === 1) continue;
    isMet[place] = 1;
    const step = steps[place];
    if (step?.take === "fork") left.push(...step.to);
    if (step?.take === "name" || step?.take === "rest") left.push(place + 1);
  }
  const places: number[] = [];
  for (let place = 0; place <= steps.length; place++) {
    if (isMet[place] === 1 && steps[place]?.take !== "fork") places.push(place);
  }
  return places;
}
