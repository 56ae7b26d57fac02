import * as z from "zod";
import { seeOther } from "../../auth/account-routes.ts";
import { withinRole } from "../../auth/policy.ts";
import { ToolError } from "../shared/errors.ts";
import { appsPage } from "./apps-page.ts";
import type { PersonContext } from "./page-context.ts";
import { recorded } from "./record-act.ts";

const DAY_SECONDS = 24 * 60 * 60;
const MAX_TOKENS = 50;

const orderSchema = z.object({ name: z.string().trim().min(1).max(100), days: z.coerce.number().int().min(1) });

export async function makeToken(form: URLSearchParams, context: PersonContext): Promise<Response> {
  const { visit, whose } = context;
  const { tokens, holdings, maxTokenDays, visitor } = visit;
  const refused = async (message: string): Promise<Response> =>
    await appsPage(context, { kind: "problem", status: 400, message });
  const order = orderSchema.safeParse(Object.fromEntries(form)).data;
  if (order === undefined || order.days > maxTokenDays) {
    return await refused(`Give the token a name of at most 100 characters, and at most ${maxTokenDays} days.`);
  }
  const scopes = withinRole(form.getAll("scope"), visitor.role);
  if (scopes.length === 0) return await refused("Tick at least one thing that the token may do.");
  const { tokens: held } = await holdings.list(whose.userId);
  if (held.length >= MAX_TOKENS) return await refused(`You have ${MAX_TOKENS} tokens; revoke one first.`);
  const { name, days } = order;
  const { token } = await recorded(
    context,
    "token",
    { name, scopes, days },
    async () => await tokens.create(visitor.person, { name, scopes, expiresInSeconds: days * DAY_SECONDS }),
  );
  return await appsPage(context, { kind: "made", token });
}

/** Ends a grant or a token of the person whose page it is; another person's is not there. */
export async function revokeHeld(form: URLSearchParams, context: PersonContext): Promise<Response> {
  const { visit, whose } = context;
  const held = { kind: form.get("kind") ?? "", id: form.get("id") ?? "" };
  await recorded(context, "revoke", held, async () => {
    if (await visit.holdings.revoke(whose.userId, held)) return;
    throw new ToolError("not_found", "That is not there any more; nothing was revoked.");
  });
  // Else they could make themselves another token there.
  if (whose.userId !== visit.visitor.person.userId) await visit.holdings.endPages(whose.userId);
  return seeOther(`${whose.base}/apps?done=revoked`);
}
