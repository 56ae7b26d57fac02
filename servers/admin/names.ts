import { oneLine } from "../../auth/html.ts";
import { isInside } from "../../auth/inside.ts";
import type { PageContext } from "./page-context.ts";

const LOOKED_UP = 100;

/**
 * How a page calls clients: by the names that they gave themselves, and personal tokens by what their person called
 * them. What is revoked and forgotten goes by its id.
 */
export async function nameClients(
  ids: readonly string[],
  { visit }: PageContext,
  userId?: string,
): Promise<Map<string, string>> {
  const wanted = [...new Set(ids)].slice(0, LOOKED_UP);
  const tokens = userId === undefined ? [] : await visit.holdings.tokens(userId);
  const named = await Promise.all(
    wanted.map(async (id): Promise<[string, string]> => {
      const token = tokens.find((held) => id === `token:${held.id}`);
      if (token !== undefined) return [id, `${oneLine(token.name, 60)} (token)`];
      return [id, ownName(id) ?? (await visit.holdings.clientName(id)) ?? oneLine(id, 60)];
    }),
  );
  return new Map(named);
}

/** What is no OAuth client. */
function ownName(id: string): string | undefined {
  if (id === "page") return "These pages";
  if (id.startsWith("admin:")) return "An admin";
  if (id.startsWith("link:")) return "A share link";
  if (isInside(id)) return `The ${oneLine(id, 60).replace(":", " ")}`;
  return id.startsWith("token:") ? `A token, ${id.slice("token:".length, "token:".length + 8)}` : undefined;
}

export async function namePeople(ids: readonly string[], { desk }: PageContext): Promise<Map<string, string>> {
  const names = await desk.directory().names(ids);
  return new Map(ids.map((userId) => [userId, personName({ userId, displayName: names[userId] ?? "" })]));
}

/** Whoever has not signed in since there is a directory has no name there. */
export function personName({ userId, displayName }: { readonly userId: string; readonly displayName: string }): string {
  return oneLine(displayName, 80) || `Somebody, ${userId.slice(0, 8)}`;
}
