import { env } from "cloudflare:workers";
import type { BooksEntry } from "../../servers/account/book-table.ts";
import type { Acts } from "../../servers/admin/acts.ts";
import type { Desk } from "../../servers/admin/desk.ts";
import type { Sandbox } from "../../servers/sandbox/driver.ts";
import { Visit } from "./account-suite.ts";
import { type Suite, startSuite } from "./auth-suite.ts";
import { idToken, startOidcSuite } from "./oidc-suite.ts";

/** Somebody at their pages, with the key of their forms. */
export interface Signed {
  readonly suite: Suite;
  readonly visit: Visit;
  readonly userId: string;
  readonly key: string;
}

/** The owner of a local suite, who is an admin. `desk` puts something in the place of what the pages look at. */
export async function signedInOwner(desk?: (desk: Desk) => Desk): Promise<Signed> {
  const suite = startSuite({ bindings: env, ...(desk === undefined ? {} : { desk }) });
  const visit = new Visit(suite);
  await visit.signIn();
  return await signed(suite, visit);
}

/** Somebody without the role admin, and somebody with it, at one suite. */
export async function signedInReaderAndAdmin(): Promise<{ readonly reader: Signed; readonly admin: Signed }> {
  const { suite, script } = await startOidcSuite({ ADMIN_GROUPS: "it" });
  const come = async (name: string, group: string): Promise<Signed> => {
    script.claims = { groups: [group], email: `${name}@example.com` };
    script.idToken = async (claims) => await idToken(claims).setSubject(name).sign(script.keys.privateKey);
    script.userinfo = () => Response.json({ sub: name, ...script.claims });
    const visit = new Visit(suite);
    const away = await visit.signIn();
    const state = new URL(away.headers.get("Location") ?? "").searchParams.get("state") ?? "";
    const cookie = away.headers.getSetCookie().map((line) => line.split(";")[0] ?? "");
    await visit.get(`/authorize/callback?code=upstream-code&state=${state}`, cookie.join("; "));
    return await signed(suite, visit);
  };
  const reader = await come("ann", "guests");
  return { reader, admin: await come("boss", "it") };
}

async function signed(suite: Suite, visit: Visit): Promise<Signed> {
  const userId = visit.cookie.split("=")[1]?.split("_")[0] ?? "";
  return { suite, visit, userId, key: (await visit.read()).key };
}

export function accountOf(userId: string) {
  return env.ACCOUNT.get(env.ACCOUNT.idFromName(userId));
}

export function directory() {
  return env.DIRECTORY.get(env.DIRECTORY.idFromName("directory"));
}

/** A call as the books take it. */
export function entry(audit: Partial<BooksEntry["audit"]> = {}, rest: Partial<BooksEntry> = {}): BooksEntry {
  const id = crypto.randomUUID();
  const call = { clientId: "c1", tool: "files_list", outcome: "ok", durationMs: 2, inputDigest: "d", outputBytes: 3 };
  const atMs = audit.atMs ?? Date.now();
  return { audit: { id, atMs, ...call, ...audit }, cost: { callId: id, atMs, nanoUsd: 7 }, ...rest };
}

/** Of a sandbox to be looked at: nothing listens, and nothing was started. */
export const NOTHING_STARTED: Pick<Sandbox, "readProcess" | "port"> = {
  readProcess: async () => await Promise.reject(new Error("Nothing was started.")),
  port: () => ({
    look: async () => "closed",
    fetch: async () => ({ state: "closed" }),
    close: async () => undefined,
  }),
};

/** Acts that do nothing but say what they were asked for. */
export function scriptedActs(done: string[]): (userId: string) => Acts {
  const note =
    (act: string, userId: string) =>
    async (...input: readonly (string | number)[]): Promise<void> =>
      void done.push([act, userId, ...input].join(" "));
  const noteOf =
    (act: string, userId: string) =>
    async (sandbox: string, { name }: { readonly name: string }): Promise<void> =>
      void done.push([act, userId, sandbox, name].join(" "));
  return (userId) => ({
    snapshot: note("snapshot", userId),
    restart: note("restart", userId),
    sleep: note("sleep", userId),
    reset: note("reset", userId),
    killProcess: note("kill", userId),
    withdraw: note("withdraw", userId),
    startPreset: noteOf("start-preset", userId),
    stopPreset: noteOf("stop-preset", userId),
    closeBrowser: note("close", userId),
    cancelRun: note("cancel", userId),
  });
}

/** The forms of the pages that act on something, with what fills them in. */
export const THING_FORMS = [
  { act: "snapshot", kind: "sandbox", name: "main" },
  { act: "restart", kind: "sandbox", name: "main" },
  { act: "sleep", kind: "sandbox", name: "main" },
  { act: "reset", kind: "sandbox", name: "main" },
  { act: "kill", kind: "sandbox", name: "main", process: "0123abcd" },
  { act: "withdraw", kind: "sandbox", name: "main", port: "3000" },
  { act: "close", kind: "browser", name: "desk" },
  { act: "cancel", kind: "run", name: "run-0123456789abcdef" },
] as const;
