import { DurableObject } from "cloudflare:workers";
import * as z from "zod";
import { consoleLog } from "../servers/core/log.ts";
import { parseSettings } from "../servers/shared/settings.ts";
import { type UpstreamProvider, createUpstreamProvider } from "./upstream-provider.ts";
import { upstreamClient } from "./upstream-settings.ts";

/** Longer than any grant lives unused: what is left of it by then is of no use to anybody. */
const KEEP_MS = 31 * 24 * 60 * 60 * 1000;
/** Longer than anybody looks at a consent page, or a code is good: a session that no token came of is forgotten then. */
const HOLD_MS = 60 * 60 * 1000;
const KEY = "session";

const sessionSchema = z.object({
  subject: z.string(),
  refreshToken: z.string(),
  groups: z.array(z.string()),
  /** When the provider last said that the person is let in. */
  checkedAtMs: z.number(),
  /** Nothing lives by it yet. */
  isHeld: z.boolean().default(false),
});

type Session = Readonly<z.output<typeof sessionSchema>>;
type NewSession = Omit<Session, "checkedAtMs" | "isHeld">;

/** What the upstream provider says of the giver of a grant. */
export type Standing =
  | { readonly kind: "in"; readonly groups: readonly string[] }
  /** For good: the session is forgotten. */
  | { readonly kind: "out" }
  /** The provider cannot be asked, and what it said last is too old. */
  | { readonly kind: "unknown" };

interface StandingQuestion {
  /** How old the provider's word may be. */
  readonly maxAgeMs: number;
  readonly nowMs: number;
}

/** What sign-in knows of a session: never its refresh token, once that is in. */
export interface SessionHolder {
  /** Holds it for an hour, in which it is kept or forgotten. */
  begin(session: NewSession, nowMs: number): Promise<void>;
  /** Whether it is there to be kept. */
  keep(nowMs: number): Promise<boolean>;
  /** Asks the provider where what it said last is older than asked for. */
  standing(question: StandingQuestion): Promise<Standing>;
  /** For good. */
  end(): Promise<void>;
}

/**
 * One grant's session at the upstream provider. It alone holds the provider's refresh token, which each use replaces:
 * of any number of questions at once only one goes there, or the provider would take the second for a theft.
 */
export class UpstreamSession extends DurableObject<object> implements SessionHolder {
  #provider: UpstreamProvider | undefined;
  #asking: Promise<Standing> | undefined;

  async begin(session: NewSession, nowMs: number): Promise<void> {
    this.ctx.storage.kv.put(KEY, { ...session, checkedAtMs: nowMs, isHeld: true } satisfies Session);
    await this.ctx.storage.setAlarm(nowMs + HOLD_MS);
  }

  async keep(nowMs: number): Promise<boolean> {
    const session = this.#find();
    if (session === undefined) return false;
    this.ctx.storage.kv.put(KEY, { ...session, isHeld: false } satisfies Session);
    await this.ctx.storage.setAlarm(nowMs + KEEP_MS);
    return true;
  }

  async standing({ maxAgeMs, nowMs }: StandingQuestion): Promise<Standing> {
    const session = this.#find();
    if (session === undefined) return { kind: "out" };
    if (nowMs - session.checkedAtMs < maxAgeMs) return { kind: "in", groups: session.groups };
    this.#asking ??= this.#ask(session, nowMs).finally(() => {
      this.#asking = undefined;
    });
    return await this.#asking;
  }

  async end(): Promise<void> {
    await this.ctx.storage.deleteAll();
  }

  override async alarm(): Promise<void> {
    await this.end();
  }

  protected provider(): UpstreamProvider {
    return createUpstreamProvider({
      ...upstreamClient(parseSettings({ ...this.env })),
      fetch: async (input, init) => await fetch(input, init),
      now: () => new Date(),
    });
  }

  async #ask(session: Session, nowMs: number): Promise<Standing> {
    this.#provider ??= this.provider();
    const tokens = await this.#provider.refresh(session.refreshToken);
    if (tokens.kind !== "tokens") {
      consoleLog.info("upstream refresh failed", { kind: tokens.kind, reason: tokens.reason });
      if (tokens.kind === "unavailable") return { kind: "unknown" };
      await this.end();
      return { kind: "out" };
    }
    // Kept before anything else can fail: the old one is used up.
    const renewed = { ...session, refreshToken: tokens.refreshToken ?? session.refreshToken };
    if (!(await this.#renew(renewed))) return { kind: "out" };
    const person = await this.#provider.identify(tokens);
    if (person.kind !== "person" || person.subject !== session.subject) {
      consoleLog.info("upstream person unknown", { reason: person.kind === "person" ? "another" : person.reason });
      return { kind: "unknown" };
    }
    const isKept = await this.#renew({ ...renewed, groups: [...person.groups], checkedAtMs: nowMs });
    return isKept ? { kind: "in", groups: person.groups } : { kind: "out" };
  }

  /** Nothing where the session was ended meanwhile. */
  async #renew(renewed: Omit<Session, "isHeld">): Promise<boolean> {
    const session = this.#find();
    if (session === undefined) return false;
    const { isHeld } = session;
    this.ctx.storage.kv.put(KEY, { ...renewed, isHeld } satisfies Session);
    if (!isHeld) await this.ctx.storage.setAlarm(renewed.checkedAtMs + KEEP_MS);
    return true;
  }

  /** Read without waiting, so that nobody comes between a question and its answer. */
  #find(): Session | undefined {
    const stored = this.ctx.storage.kv.get(KEY);
    return stored === undefined ? undefined : sessionSchema.parse(stored);
  }
}
