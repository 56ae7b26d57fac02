import { isLoopback } from "../servers/shared/settings.ts";
import { type Identity, grantOwner, userIdOf } from "./identity.ts";
import { isSameSecret, sha256Hex } from "./secrets.ts";

const MAX_WRONG_CODES = 5;
const LOCK_MS = 15 * 60 * 1000;
const GRANT_SECONDS = 30 * 24 * 60 * 60;
const TOKEN_SECONDS = 60 * 60;
const MAX_TOKEN_DAYS = 366;

/** Counts guesses where parallel requests cannot share one: in the person's Durable Object. */
export interface Attempts {
  takeAttempt(attempt: {
    readonly name: string;
    readonly limit: number;
    readonly windowMs: number;
    readonly nowMs: number;
  }): Promise<{ readonly isAllowed: boolean; readonly retryAtMs: number }>;
  clearAttempts(name: string): Promise<void>;
}

interface LocalIdentityOptions {
  readonly publicUrl: string;
  readonly signInCode: string;
  readonly attempts: (userId: string) => Attempts;
  readonly now: () => Date;
}

/** The one person of a local suite. */
export async function localUserId(): Promise<string> {
  return await userIdOf("local", "owner");
}

/** Whether a request names this machine as its host, and comes from no page of another origin. */
export function isFromThisMachine(request: Request, publicUrl: string): boolean {
  const url = new URL(request.url);
  const { port } = new URL(publicUrl);
  const origin = request.headers.get("Origin");
  const isOwnPage = origin === null || origin === publicUrl;
  return isLoopback(url.hostname) && url.port === port && isOwnPage;
}

/** Local mode: the code that the launcher printed proves the person. Loopback only; never approves by itself. */
export function createLocalIdentity({ publicUrl, signInCode, attempts, now }: LocalIdentityOptions): Identity {
  return {
    grantLife: { seconds: GRANT_SECONDS, isRenewed: true, tokenSeconds: TOKEN_SECONDS },
    maxTokenDays: MAX_TOKEN_DAYS,
    asksForCode: true,
    roleForGood: "admin",
    identify: async (request) => {
      if (!isFromThisMachine(request, publicUrl)) {
        const message = `This suite runs in local mode: open ${publicUrl} on the machine that it runs on.`;
        return { kind: "refused", reason: "not from this machine", message };
      }
      const userId = await localUserId();
      return {
        kind: "person",
        person: { userId, displayName: "the owner of this machine", owner: { identity: "local" } },
      };
    },
    prove: async ({ userId }, code) => {
      const expected = normalizeCode(signInCode);
      // Named after the code, so that a new code starts with a clean slate.
      const name = `sign-in:${(await sha256Hex(expected)).slice(0, 16)}`;
      const account = attempts(userId);
      // Taken before the comparison: of any number of parallel guesses, five are compared.
      const attempt = await account.takeAttempt({
        name,
        limit: MAX_WRONG_CODES,
        windowMs: LOCK_MS,
        nowMs: now().getTime(),
      });
      if (!attempt.isAllowed) return { kind: "locked", retryAtMs: attempt.retryAtMs };
      if (!(await isSameSecret(normalizeCode(code), expected))) return { kind: "wrong-code" };
      await account.clearAttempts(name);
      return { kind: "proven" };
    },
    roleOf: (owner) => {
      const parsed = grantOwner.safeParse(owner);
      return parsed.success && parsed.data.identity === "local" ? "admin" : undefined;
    },
  };
}

/** Case, spaces and dashes of a typed code do not matter. */
function normalizeCode(code: string): string {
  return code.toUpperCase().replace(/[^A-Z0-9]/g, "");
}
