import type { Visit } from "../../auth/account-routes.ts";
import type { Desk } from "./desk.ts";
import { type PageView, deskPage } from "./layout.ts";
import type { Whose } from "./whose.ts";

/** One request for a page of everybody's. */
export interface PageContext {
  readonly visit: Visit;
  readonly desk: Desk;
  readonly url: URL;
}

/** One request for a page about a person. */
export interface PersonContext extends PageContext {
  readonly whose: Whose;
}

type PageBody = Omit<PageView, "visitor" | "whose">;

export function personPage({ visit, whose }: PersonContext, page: PageBody): Response {
  return deskPage({ ...page, visitor: visit.visitor, whose });
}

export function everybodysPage({ visit }: PageContext, page: PageBody): Response {
  return deskPage({ ...page, visitor: visit.visitor });
}

/** A field of a GET form; nothing where it is empty. */
export function asked({ url }: PageContext, name: string): string | undefined {
  const value = url.searchParams.get(name)?.trim().slice(0, 200);
  return value === undefined || value === "" ? undefined : value;
}
