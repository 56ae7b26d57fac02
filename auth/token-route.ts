import * as z from "zod";
import { readText } from "../servers/shared/read-text.ts";
import type { Act, ActStore } from "./acts.ts";
import { isFromThisMachine, localUserId } from "./local.ts";
import { ALL_SCOPES, isScope } from "./scopes.ts";
import { isSameSecret } from "./secrets.ts";
import type { PersonalTokens } from "./tokens.ts";

export const TOKEN_ROUTE = "/local/token";

const MAX_BODY_BYTES = 4_096;
const DAY_SECONDS = 24 * 60 * 60;

const orderSchema = z.strictObject({
  scopes: z
    .array(z.string())
    .transform((names, context) => {
      const unknown = names.filter((name) => !isScope(name));
      if (unknown.length > 0) context.addIssue(`no such scope: ${unknown.join(" ").slice(0, 100)}`);
      return names.filter(isScope);
    })
    .refine((scopes) => scopes.length > 0, "name at least one")
    .default([...ALL_SCOPES]),
  expires_in_seconds: z
    .int()
    .min(60)
    .max(366 * DAY_SECONDS)
    .default(30 * DAY_SECONDS),
  name: z.string().trim().min(1).max(100).default("npm run token"),
});

interface TokenRouteOptions {
  readonly publicUrl: string;
  readonly adminSecret: string;
  readonly tokens: PersonalTokens;
  readonly accounts: (userId: string) => ActStore;
  readonly now: () => Date;
}

/**
 * `POST /local/token`: a personal access token for whoever can read the launcher's secret on this machine. Pages
 * have no business here, so any Origin is refused.
 */
export function createTokenRoute(options: TokenRouteOptions): (request: Request) => Promise<Response> {
  return async (request) => {
    if (request.method !== "POST") return refusal(405, "Send a POST.", { Allow: "POST" });
    if (request.headers.has("Origin") || !isFromThisMachine(request, options.publicUrl)) {
      return refusal(403, "Tokens are made on the machine that the suite runs on, and not by pages.");
    }
    const [, secret] = /^Bearer (\S+)$/i.exec(request.headers.get("Authorization") ?? "") ?? [];
    if (secret === undefined || !(await isSameSecret(secret, options.adminSecret))) {
      return refusal(401, "The launcher's secret is missing or wrong; run npm run token on this data folder.", {
        "WWW-Authenticate": 'Bearer realm="local"',
      });
    }
    const order = parseOrder(await readText(request.body, MAX_BODY_BYTES));
    if (!order.ok) return refusal(400, order.message);
    const { scopes, expires_in_seconds: expiresInSeconds, name } = order.value;
    const userId = await localUserId();
    const maker = { userId, owner: { identity: "local" } } as const;
    const { token, stored } = await options.tokens.create(maker, { name, scopes, expiresInSeconds });
    const what = { kind: "token", id: stored.id, scopes: stored.scopes.join(" ") };
    const act: Act = { name: "account/token", by: "launcher", what, atMs: options.now().getTime() };
    await options.accounts(userId).recordAct(userId, act);
    return answer(200, {
      token,
      expires_at: new Date(stored.expiresAtMs).toISOString(),
      scopes: stored.scopes,
    });
  };
}

type Order =
  | { readonly ok: true; readonly value: z.output<typeof orderSchema> }
  | { readonly ok: false; readonly message: string };

function parseOrder(body: string | undefined): Order {
  if (body === undefined) return { ok: false, message: `The body is over ${MAX_BODY_BYTES} bytes.` };
  let raw: unknown;
  try {
    raw = body.trim() === "" ? {} : JSON.parse(body);
  } catch {
    return { ok: false, message: "The body is not JSON." };
  }
  const parsed = orderSchema.safeParse(raw);
  if (parsed.success) return { ok: true, value: parsed.data };
  const [issue] = parsed.error.issues;
  return { ok: false, message: `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "wrong"}.` };
}

function refusal(status: number, message: string, headers: Readonly<Record<string, string>> = {}): Response {
  return answer(status, { error: message }, headers);
}

function answer(status: number, body: object, headers: Readonly<Record<string, string>> = {}): Response {
  return Response.json(body, { status, headers: { "Cache-Control": "no-store", ...headers } });
}
