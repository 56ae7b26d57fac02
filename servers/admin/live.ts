import type { Html } from "../../auth/html.ts";
import type { Things } from "../account/account-books.ts";
import type { KnownPerson } from "../directory/people-table.ts";
import { type PersonSeen, SHOWN_PEOPLE, lookAtPerson, personPart } from "./everybody-page.ts";
import { eventStream } from "./event-stream.ts";
import { type Thing, lookAt } from "./look.ts";
import { listOf, lookAtWhatRuns, partOf } from "./overview-page.ts";
import type { PageContext, PersonContext } from "./page-context.ts";
import { isUnderWay, listThings, thingId } from "./thing-list.ts";

/** A part of a page as it is now; without markup it has gone. */
interface LivePart {
  readonly id: string;
  readonly markup: string;
  /** Where a new one goes. */
  readonly into: string;
}

/** What is awake may end, and what is silent speak, with no account hearing of it: one such is looked at so often. */
const TICKS_TO_LOOK_AGAIN = 5;

/**
 * What changes of a person's overview. Each second it asks the account once what is new, and looks at one of the things
 * that changed since it last looked there, or now and then at one that is awake.
 */
export function liveOverview(context: PersonContext): Response {
  const { desk, whose, visit } = context;
  const account = desk.account(whose.userId);
  const sent = new SentParts();
  const known = new Map<string, Thing>();
  const unseen = new Set<string>();
  let [revision, ticks] = [-1, 0];

  const takeIn = (things: Things): void => {
    revision = things.revision;
    const listed = listThings(things, desk.now().getTime());
    const ids = new Set(listed.map(thingId));
    for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
    for (const thing of listed) {
      const id = thingId(thing);
      const before = known.get(id);
      if (before === undefined || hasChanged(before, thing)) unseen.add(id);
      // What was seen of it stands until it is looked at again.
      known.set(id, before === undefined ? thing : withLookOf(before, thing));
    }
  };

  /** One after the other. */
  const awakeAt = (turn: number): string | undefined => {
    const awake = [...known.values()].filter((thing) => isAwake(thing, desk.now().getTime())).map(thingId);
    return awake[turn % awake.length];
  };

  return eventStream(visit, desk.now, async () => {
    const isFirst = revision === -1;
    const answer = await lookAt(async () => await account.thingsSince(revision));
    if (answer.kind === "seen" && answer.seen !== undefined) takeIn(answer.seen);
    if (isFirst) {
      // The page itself was made a moment ago, of looks at everything: so is what it is compared to.
      const all = await Promise.all([...known.values()].map(async (thing) => await lookAtWhatRuns(thing, context)));
      for (const thing of all) known.set(thingId(thing), thing);
      unseen.clear();
    }
    ticks += 1;
    const [next = ticks % TICKS_TO_LOOK_AGAIN === 0 ? awakeAt(ticks / TICKS_TO_LOOK_AGAIN) : undefined] = unseen;
    const thing = next === undefined ? undefined : known.get(next);
    if (next !== undefined) unseen.delete(next);
    if (next !== undefined && thing !== undefined) known.set(next, await lookAtWhatRuns(thing, context));
    return sent.changed(
      [...known.values()].map((one) => ({ id: thingId(one), part: partOf(one, context), into: listOf(one) })),
    );
  });
}

/** What changes of everybody's overview: each second one question, to the directory or to somebody whom it saw at work. */
export function liveEverybody(context: PageContext): Response {
  const { desk, visit } = context;
  const sent = new SentParts();
  const known = new Map<string, PersonSeen>();
  const unseen: KnownPerson[] = [];

  return eventStream(visit, desk.now, async () => {
    const next = unseen.shift();
    if (next !== undefined) known.set(next.userId, await lookAtPerson(next, context));
    else await askDirectory();
    const nowMs = desk.now().getTime();
    return sent.changed(
      [...known.values()].map((one) => ({
        id: `person-${one.person.userId}`,
        part: personPart(one, nowMs),
        into: "people-list",
      })),
    );
  });

  async function askDirectory(): Promise<void> {
    const answer = await lookAt(async () => await desk.directory().people({ limit: SHOWN_PEOPLE }));
    if (answer.kind === "silent") return;
    const isFirst = known.size === 0;
    for (const person of answer.seen.people.toReversed()) {
      const before = known.get(person.userId);
      if (before?.person.lastSeenMs !== person.lastSeenMs) unseen.push(person);
      known.set(person.userId, { person, look: before?.look ?? { kind: "silent" } });
    }
    if (!isFirst) return;
    const looks = await Promise.all(unseen.splice(0).map(async (person) => await lookAtPerson(person, context)));
    for (const look of looks) known.set(look.person.userId, look);
  }
}

/** What the page has by now: only what differs from that is sent. */
class SentParts {
  readonly #parts = new Map<string, string>();

  changed(all: readonly { readonly id: string; readonly part: Html; readonly into: string }[]): LivePart[] {
    const ids = new Set(all.map(({ id }) => id));
    const gone = [...this.#parts.keys()].filter((id) => !ids.has(id));
    for (const id of gone) this.#parts.delete(id);
    const fresh = all
      .map(({ id, part, into }) => ({ id, markup: part.toString(), into }))
      .filter(({ id, markup }) => this.#parts.get(id) !== markup);
    for (const { id, markup } of fresh) this.#parts.set(id, markup);
    return [...gone.map((id) => ({ id, markup: "", into: "" })), ...fresh];
  }
}

function hasChanged(before: Thing, now: Thing): boolean {
  if (before.kind === "run" && now.kind === "run") return JSON.stringify(before.run) !== JSON.stringify(now.run);
  return before.kind !== "run" && now.kind !== "run" && before.handle.lastUsedMs !== now.handle.lastUsedMs;
}

function isAwake(thing: Thing, nowMs: number): boolean {
  if (thing.kind === "run") return isUnderWay(thing.run, nowMs);
  if (thing.look?.kind === "silent") return true;
  if (thing.look?.seen === undefined) return false;
  return thing.kind === "browser" || thing.look.seen.status.state !== "asleep";
}

function withLookOf(before: Thing, now: Thing): Thing {
  switch (now.kind) {
    case "sandbox":
      return before.kind === "sandbox" && before.look !== undefined ? { ...now, look: before.look } : now;
    case "browser":
      return before.kind === "browser" && before.look !== undefined ? { ...now, look: before.look } : now;
    case "run":
      return before.kind === "run" && before.look !== undefined ? { ...now, look: before.look } : now;
  }
}
