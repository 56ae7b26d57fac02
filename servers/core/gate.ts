import type { StandingNow } from "../account/standing.ts";
import { ToolError } from "../shared/errors.ts";
import { type Limits, type Pause, type Policy, type Role, limitsOf } from "../shared/limits.ts";
import { within } from "../shared/within.ts";
import { type Used, refuseWhereUsedUp, takesPlace } from "./limit-check.ts";

/** What an isolate knows of a person or the policy is asked anew in the background after so long. */
const FRESH_MS = 1_000;
/** After so long it is known no longer: a call waits for the answer, and a lasting one is looked after. */
const KNOWN_MS = 2_000;
/** Whoever has not answered by then does not answer. */
const ANSWER_MS = 5_000;
const MAX_REMEMBERED = 2_000;
const MINUTE_MS = 60_000;

/** Told of a pause that comes while a call is under way. */
export type OnPause = (giveUp: (error: ToolError) => void) => void;

/** Where it is decided whether a person may go on. */
export interface Gate {
  /**
   * Lets a call in and counts it until it ends. Rejects with `forbidden` where its person or everybody is paused, with
   * `limit_reached` where a limit is, with `unavailable` where nobody can say; the work is not begun then.
   */
  pass<T>(name: string, work: (onPause: OnPause) => Promise<T>): Promise<T>;
  /** Rejects as `pass` does, for what goes on without calls: where paused, or where the day's dollars are used up. */
  check(): Promise<void>;
}

/** For what only ends something, or says how things stand. */
export const OPEN_GATE: Gate = {
  pass: async (_name, work) => await work(() => undefined),
  check: async () => undefined,
};

/** Who knows what holds. */
export interface GateSource {
  policy(): Promise<Policy>;
  /** The person's standing; tells the account how many calls are under way in this isolate. */
  standing(isolate: string, inFlight: number): Promise<StandingNow>;
  /** Tells the account what storage the person's role allows. */
  setRoleStorage(storageMb: number | undefined): Promise<void>;
}

/** What an isolate remembers; nothing of one person is used for another. */
export interface GateMemory {
  readonly isolate: string;
  readonly people: Map<string, PersonAtGate>;
  policy?: { readonly value: Policy; readonly atMs: number };
}

/** One person's calls in this isolate, and what their account last said. */
interface PersonAtGate {
  known?: {
    readonly standing: StandingNow;
    readonly atMs: number;
    readonly turn: number;
    readonly admittedThen: number;
  };
  askedAtMs: number;
  /** How often the account was asked. */
  turns: number;
  minuteMs: number;
  admitted: number;
  inFlight: number;
}

export interface GateContext {
  readonly userId: string;
  /** Absent for what acts without a role, a link: only a pause stops that, and it uses nothing up. */
  readonly role?: Role;
  readonly publicUrl: string;
  readonly memory: GateMemory;
  readonly source: GateSource;
  readonly waitUntil: (work: Promise<unknown>) => void;
}

export function newGateMemory(): GateMemory {
  return { isolate: crypto.randomUUID(), people: new Map() };
}

/** The gate of one person. */
export function createGate(context: GateContext): Gate {
  const { memory, role, publicUrl } = context;
  const person = personIn(memory, context.userId);

  const ask = async (): Promise<void> => {
    person.askedAtMs = Date.now();
    await within(ANSWER_MS, Promise.all([askPolicy(context), askStanding(person, context)]));
    const wanted = role === undefined ? undefined : memory.policy?.value.ofRole[role].storageMb;
    if (role !== undefined && person.known?.standing.roleStorageMb !== wanted) {
      await within(ANSWER_MS, context.source.setRoleStorage(wanted));
    }
  };

  /** What holds now. Asks where that is not known, and goes on asking behind the back of a busy client. */
  const now = async (): Promise<Known> => {
    const nowMs = Date.now();
    const isKnown = (forMs: number): boolean =>
      [person.known?.atMs, memory.policy?.atMs].every((atMs) => isWithin(forMs, atMs, nowMs));
    if (!isKnown(KNOWN_MS)) {
      await ask().catch((cause: unknown) => {
        throw new ToolError("unavailable", "Nobody can say right now whether you may go on; try again in a moment.", {
          cause,
        });
      });
    } else if (!isKnown(FRESH_MS) && !isWithin(FRESH_MS, person.askedAtMs, nowMs)) {
      // What fails is asked again by a call that has to wait for it.
      context.waitUntil(ask().catch(() => undefined));
    }
    return knownNow(person, context);
  };

  return {
    pass: async (name, work) => {
      const { paused, limits, used } = await now();
      if (paused !== undefined) throw paused;
      refuseWhereUsedUp(name, limits, used, publicUrl);
      const places = role !== undefined && takesPlace(name) ? 1 : 0;
      if (role !== undefined) person.admitted += 1;
      person.inFlight += places;
      const timers: Timers = {};
      try {
        return await work((giveUp) => lookAfter(now, giveUp, timers));
      } finally {
        timers.isOver = true;
        clearTimeout(timers.next);
        person.inFlight -= places;
      }
    },
    check: async () => {
      const { paused, limits, used } = await now();
      if (paused !== undefined) throw paused;
      const { usdPerDay } = limits;
      refuseWhereUsedUp("run", usdPerDay === undefined ? {} : { usdPerDay }, used, publicUrl);
    },
  };
}

interface Timers {
  next?: ReturnType<typeof setTimeout>;
  isOver?: boolean;
}

/** Gives a lasting call up soon after its person is paused. Where nobody can say, it goes on to its deadline. */
function lookAfter(now: () => Promise<Known>, giveUp: (error: ToolError) => void, timers: Timers): void {
  timers.next = setTimeout(() => {
    void now()
      .then(
        ({ paused }) => paused,
        () => undefined,
      )
      .then((paused) => {
        if (timers.isOver === true) return;
        if (paused === undefined) lookAfter(now, giveUp, timers);
        else giveUp(new ToolError("cancelled", paused.message));
      });
  }, KNOWN_MS);
}

interface Known {
  readonly paused?: ToolError;
  readonly limits: Limits;
  readonly used: Used;
}

function knownNow(person: PersonAtGate, { memory, role, publicUrl }: GateContext): Known {
  const { known } = person;
  const policy = memory.policy?.value;
  if (known === undefined || policy === undefined) throw new Error("The gate has asked, and knows nothing.");
  const { standing, admittedThen } = known;
  const nowMs = Date.now();
  beginMinute(person, nowMs);
  const callsThen = standing.minuteMs === person.minuteMs ? standing.callsThisMinute - admittedThen : 0;
  const paused = pausedBy(policy.pausedAll, standing.paused, publicUrl);
  return {
    ...(paused === undefined ? {} : { paused }),
    limits: role === undefined ? {} : limitsOf(policy.ofRole[role], standing.own),
    used: {
      ...standing.today,
      nowMs,
      // Of this isolate's own calls the account hears a moment later.
      callsThisMinute: person.admitted + Math.max(0, callsThen),
      callsUnderWay: person.inFlight + standing.inFlightElsewhere,
    },
  };
}

function pausedBy(all: Pause | undefined, own: Pause | undefined, publicUrl: string): ToolError | undefined {
  const pause = all ?? own;
  if (pause === undefined) return undefined;
  const why = pause.reason === "" ? "" : ` (${pause.reason})`;
  const since = new Date(pause.sinceMs).toISOString();
  const who = all === undefined ? "An admin paused you" : "An admin paused everybody";
  return new ToolError(
    "forbidden",
    `paused: ${who} at ${since}${why}; nothing is done until an admin lifts it at ${publicUrl}/admin/limits.`,
  );
}

async function askPolicy({ memory, source }: GateContext): Promise<void> {
  const atMs = Date.now();
  if (isWithin(FRESH_MS, memory.policy?.atMs, atMs)) return;
  memory.policy = { value: await source.policy(), atMs };
}

async function askStanding(person: PersonAtGate, { memory, source }: GateContext): Promise<void> {
  const atMs = Date.now();
  beginMinute(person, atMs);
  const turn = (person.turns += 1);
  const { admitted } = person;
  const standing = await source.standing(memory.isolate, person.inFlight);
  // An answer that was overtaken says less.
  if (turn >= (person.known?.turn ?? 0)) person.known = { standing, atMs, turn, admittedThen: admitted };
}

function beginMinute(person: PersonAtGate, nowMs: number): void {
  const minuteMs = nowMs - (nowMs % MINUTE_MS);
  if (person.minuteMs === minuteMs) return;
  person.minuteMs = minuteMs;
  person.admitted = 0;
}

function personIn({ people }: GateMemory, userId: string): PersonAtGate {
  const known = people.get(userId);
  if (known !== undefined) return known;
  if (people.size >= MAX_REMEMBERED) {
    for (const [id, { inFlight }] of people) if (inFlight === 0) people.delete(id);
  }
  const person: PersonAtGate = { askedAtMs: 0, turns: 0, minuteMs: 0, admitted: 0, inFlight: 0 };
  people.set(userId, person);
  return person;
}

/** What is dated ahead by that much is as old: a clock may be set back, and each request has a moment of its own. */
function isWithin(spanMs: number, atMs: number | undefined, nowMs: number): boolean {
  return atMs !== undefined && Math.abs(nowMs - atMs) < spanMs;
}
