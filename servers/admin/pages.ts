import type { Pages, Visit } from "../../auth/account-routes.ts";
import { problemPage } from "../../auth/consent.ts";
import { HTTP_STATUS, ToolError } from "../shared/errors.ts";
import { makeToken, revokeHeld } from "./app-acts.ts";
import { appsPage } from "./apps-page.ts";
import { auditDownload, exportAudit } from "./audit-files.ts";
import { everybodysAudit, personsAudit } from "./audit-page.ts";
import { costPage } from "./cost-page.ts";
import type { Desk } from "./desk.ts";
import { everybodysOverview } from "./everybody-page.ts";
import { healthPage } from "./health-page.ts";
import { pauseAll, pausePerson, resumeAll, resumePerson, setPersonLimits, setRoleLimits } from "./limit-acts.ts";
import { everybodysLimits, personsLimits } from "./limits-page.ts";
import { liveEverybody, liveOverview } from "./live.ts";
import { personName } from "./names.ts";
import { overviewPage } from "./overview-page.ts";
import type { PageContext, PersonContext } from "./page-context.ts";
import { peoplePage } from "./people-page.ts";
import { terminalFile, terminalPage, terminalSocket } from "./terminal-page.ts";
import { TERMINAL_FILES } from "./terminal-script.ts";
import { actOnThing, confirmPage } from "./thing-acts.ts";
import { everybodysUsage, everybodysUsageCsv, ownUsage, ownUsageCsv } from "./usage-page.ts";
import type { Whose } from "./whose.ts";

type Answer<Context> = (context: Context) => Promise<Response> | Response;
type Act<Context> = (form: URLSearchParams, context: Context) => Promise<Response>;

/** Pages about one person, by what follows their base: one's own, and for an admin anybody's. */
const PERSONS: Readonly<Record<string, Answer<PersonContext>>> = {
  "": overviewPage,
  live: liveOverview,
  confirm: confirmPage,
  usage: ownUsage,
  "usage.csv": ownUsageCsv,
  audit: personsAudit,
  "audit.jsonl": auditDownload,
  apps: appsPage,
  limits: personsLimits,
};

/** Nobody types into somebody else's sandbox. */
const OWN: Readonly<Record<string, Answer<PersonContext>>> = {
  ...PERSONS,
  terminal: terminalPage,
  "terminal/socket": terminalSocket,
  ...Object.fromEntries(TERMINAL_FILES.map(({ path }) => [path.slice("/account/".length), terminalFile])),
};

const PERSONS_ACTS: Readonly<Record<string, Act<PersonContext>>> = {
  act: actOnThing,
  "audit-export": exportAudit,
  revoke: revokeHeld,
};

/** Nobody makes tokens for somebody else. */
const OWN_ACTS: Readonly<Record<string, Act<PersonContext>>> = { ...PERSONS_ACTS, tokens: makeToken };

const ADMINS_ACTS: Readonly<Record<string, Act<PersonContext>>> = {
  ...PERSONS_ACTS,
  limits: setPersonLimits,
  pause: pausePerson,
  resume: resumePerson,
};

/** Pages about everybody. */
const EVERYBODYS: Readonly<Record<string, Answer<PageContext>>> = {
  "": everybodysOverview,
  live: liveEverybody,
  people: peoplePage,
  usage: everybodysUsage,
  "usage.csv": everybodysUsageCsv,
  cost: costPage,
  audit: everybodysAudit,
  limits: everybodysLimits,
  health: healthPage,
};

const EVERYBODYS_ACTS: Readonly<Record<string, Act<PageContext>>> = {
  limits: setRoleLimits,
  pause: pauseAll,
  resume: resumeAll,
};

/** What is behind the sign-in. Who may see what is decided here, and nowhere below. */
export function createPages(desk: Desk): Pages {
  return async (visit) => {
    try {
      return await route(visit, desk);
    } catch (failure) {
      if (!(failure instanceof ToolError)) throw failure;
      return problemPage(HTTP_STATUS[failure.code], "It was not done", failure.message);
    }
  };
}

async function route(visit: Visit, desk: Desk): Promise<Response> {
  const url = new URL(visit.request.url);
  const { pathname } = url;
  const [, own] = /^\/account(?:\/(.*))?$/.exec(pathname) ?? [];
  if (!pathname.startsWith("/admin")) {
    return await answerAbout(ownOf(visit), own ?? "", { visit, desk, url });
  }
  if (visit.visitor.role !== "admin") return notAnAdmin(desk);
  const [, userId, rest] = /^\/admin\/people\/([0-9a-z]{32})(?:\/(.*))?$/.exec(pathname) ?? [];
  if (userId === undefined) {
    return await answer(pathname.slice("/admin/".length), EVERYBODYS, EVERYBODYS_ACTS, { visit, desk, url });
  }
  const whose = await find(userId, visit, desk);
  return whose === undefined ? nobody() : await answerAbout(whose, rest ?? "", { visit, desk, url });
}

async function answerAbout(whose: Whose, at: string, context: PageContext): Promise<Response> {
  const [pages, acts] = whose.isOwn ? [OWN, OWN_ACTS] : [PERSONS, ADMINS_ACTS];
  return await answer(at, pages, acts, { ...context, whose });
}

async function answer<Context extends PageContext>(
  at: string,
  pages: Readonly<Record<string, Answer<Context>>>,
  acts: Readonly<Record<string, Act<Context>>>,
  context: Context,
): Promise<Response> {
  const { form } = context.visit;
  if (form !== undefined) return Object.hasOwn(acts, at) ? ((await acts[at]?.(form, context)) ?? nothing()) : nothing();
  return Object.hasOwn(pages, at) ? ((await pages[at]?.(context)) ?? nothing()) : nothing();
}

function ownOf({ visitor: { person } }: Visit): Whose {
  return { userId: person.userId, displayName: person.displayName, base: "/account", isOwn: true };
}

/** Somebody who is known: whoever has never been here has no account to wake. */
async function find(userId: string, { people }: Visit, desk: Desk): Promise<Whose | undefined> {
  const known = (await desk.directory().person(userId)) ?? (await people.find(userId));
  if (known === undefined) return undefined;
  return { userId, displayName: personName(known), base: `/admin/people/${userId}`, isOwn: false };
}

function notAnAdmin({ whyNoAdmins }: Desk): Response {
  const advice = whyNoAdmins ?? "Ask whoever runs Pincer, or open /account for what is yours.";
  return problemPage(403, "This page is for admins", advice);
}

function nobody(): Response {
  return problemPage(404, "Nobody is known by that id", "Open /admin/people to see who there is.");
}

function nothing(): Response {
  return problemPage(404, "There is nothing here", "Open /account and start again.");
}
