import { type Html, html, oneLine } from "../../auth/html.ts";
import { type Hit, type Limits, type Pause, type Policy, ROLES, type Role, type Standing } from "../shared/limits.ts";
import { bytes, moment } from "./format.ts";
import { LIMITS, LIMIT_WORDS } from "./limit-words.ts";
import { newsNote } from "./news.ts";
import { type PageContext, type PersonContext, everybodysPage, personPage } from "./page-context.ts";
import { table } from "./table.ts";

/** What a person may use, what they have used and hit; for an admin, with the hand on it. */
export async function personsLimits(context: PersonContext): Promise<Response> {
  const { desk, whose, url, visit } = context;
  const [standing, policy, role, { quotaBytes }] = await Promise.all([
    desk.account(whose.userId).standing(),
    desk.directory().policy(),
    roleOf(context),
    desk.filesOf(whose.userId).usage(),
  ]);
  const form = { base: whose.base, formKey: visit.visitor.formKey };
  const body = html`${newsNote(url)} ${pauseNote(policy, standing, whose.isOwn)}
    <p class="lead">
      Where a limit is reached, calls are refused until it resets, and say so. Days end at midnight UTC. An agent can
      change none of this: only an admin can, here.
    </p>
    ${holding(standing, policy, role, quotaBytes)} ${hitsPart(standing.hits)}
    ${
      whose.isOwn
        ? undefined
        : html`<h2>Their own limits</h2>
            <p class="hint">What is left empty is as the role has it.</p>
            ${limitsForm({ ...form, limits: standing.own, hidden: undefined, words: "Set their limits" })}
            <h2>${standing.paused === undefined ? "Pause them" : "Let them go on"}</h2>
            ${pauseForm(form, standing.paused, "Everything that they have going ends within seconds: commands, browsers, sub-agents. No file is lost.")}`
    }`;
  return personPage(context, { at: "limits", title: "Limits", body });
}

/** The limits of each role, and the switch that pauses everybody. */
export async function everybodysLimits(context: PageContext): Promise<Response> {
  const { desk, url, visit } = context;
  const policy = await desk.directory().policy();
  const form = { base: "/admin", formKey: visit.visitor.formKey };
  const body = html`${newsNote(url)}
    <h2>${policy.pausedAll === undefined ? "Pause everybody" : "Everybody is paused"}</h2>
    ${pauseForm(form, policy.pausedAll, "Everything that anybody has going ends within seconds: commands, browsers, sub-agents. No file is lost, and nothing is let in until you lift it.")}
    <h2>Limits by role</h2>
    <p class="hint">
      What is left empty is not limited. A person’s own limits, on their page, go before those of their role. They hold
      within two seconds.
    </p>
    ${ROLES.map(
      (role) =>
        html`<h3>${ROLE_WORDS[role]}</h3>
          ${limitsForm({
            ...form,
            limits: policy.ofRole[role],
            hidden: html`<input type="hidden" name="role" value="${role}" />`,
            words: `Set the limits of ${ROLE_WORDS[role].toLowerCase()}`,
            mayReset: true,
            idPrefix: `${role}-`,
          })}`,
    )}`;
  return everybodysPage(context, { at: "limits", title: "Limits", body });
}

const ROLE_WORDS: Readonly<Record<Role, string>> = { admin: "Admins", member: "Members", reader: "Readers" };

/** One's own is known now; somebody else's is what it was at their last sign-in. */
async function roleOf({ desk, whose, visit }: PersonContext): Promise<Role> {
  if (whose.isOwn) return visit.visitor.role;
  return (await desk.directory().person(whose.userId))?.role ?? "member";
}

/** Said wherever somebody paused would wonder why nothing works. */
export function pauseNote(policy: Policy, standing: Pick<Standing, "paused">, isOwn: boolean): Html | undefined {
  const pause = policy.pausedAll ?? standing.paused;
  if (pause === undefined) return undefined;
  const who = policy.pausedAll !== undefined ? "Everybody is paused" : isOwn ? "You are paused" : "They are paused";
  return html`<p class="note error" role="alert">
    <strong>${who}</strong> since ${moment(pause.sinceMs)}${reasonOf(pause)}. Nothing is let in until an admin lifts it.
  </p>`;
}

function reasonOf({ reason }: Pause): string {
  return reason === "" ? "" : `: ${oneLine(reason, 300)}`;
}

function holding({ own, today }: Standing, { ofRole }: Policy, role: Role, quotaBytes: number): Html {
  return table({
    caption: "What holds, and what today has used of it",
    columns: [
      { head: "Limit" },
      { head: "At most", isNumber: true },
      { head: "Used today", isNumber: true },
      { head: "Said for" },
    ],
    rows: LIMITS.map((name) => {
      const { name: words, format, used } = LIMIT_WORDS[name];
      const value = own[name] ?? ofRole[role][name];
      const origin = own[name] !== undefined ? "this person" : value === undefined ? "" : `the role ${role}`;
      if (name === "storageMb" && value === undefined) {
        return { cells: [words, bytes(quotaBytes), used?.(today) ?? "", "everybody"] };
      }
      return { cells: [words, value === undefined ? "not limited" : format(value), used?.(today) ?? "", origin] };
    }),
    empty: "",
  });
}

function hitsPart(hits: readonly Hit[]): Html {
  return html`<h2>What was hit</h2>
    ${table({
      caption: "Days on which a limit refused calls",
      hasHiddenCaption: true,
      columns: [{ head: "Limit" }, { head: "Day" }, { head: "Calls refused", isNumber: true }, { head: "Last at" }],
      rows: hits.map(({ limit, day, count, lastAtMs }) => ({
        cells: [LIMIT_WORDS[limit].name, day, String(count), moment(lastAtMs)],
      })),
      empty: "No limit has refused anything lately.",
    })}`;
}

interface LimitsForm {
  readonly base: string;
  readonly formKey: string;
  readonly limits: Limits;
  readonly hidden: Html | undefined;
  readonly words: string;
  readonly mayReset?: boolean;
  readonly idPrefix?: string;
}

function limitsForm({ base, formKey, limits, hidden, words, mayReset = false, idPrefix = "" }: LimitsForm): Html {
  return html`<form class="form" method="post" action="${base}/limits" autocomplete="off">
    <input type="hidden" name="key" value="${formKey}" />
    ${hidden}
    <div class="grid">
      ${LIMITS.map((name) => {
        const { name: label, unit, step } = LIMIT_WORDS[name];
        const id = `${idPrefix}${name}`;
        const value = limits[name];
        return html`<div>
          <label for="${id}">${label}${unit === undefined ? undefined : `, in ${unit}`}</label>
          <input
            class="text"
            id="${id}"
            name="${name}"
            type="number"
            min="0"
            max="1000000"
            step="${step}"
            value="${value === undefined ? "" : String(value)}"
          />
        </div>`;
      })}
    </div>
    <div class="acts">
      <button class="primary">${words}</button>
      ${mayReset ? html`<button name="reset" value="yes" formnovalidate>As the settings have it</button>` : undefined}
    </div>
  </form>`;
}

interface PauseForm {
  readonly base: string;
  readonly formKey: string;
}

function pauseForm({ base, formKey }: PauseForm, pause: Pause | undefined, says: string): Html {
  if (pause !== undefined) {
    return html`<form class="form" method="post" action="${base}/resume">
      <input type="hidden" name="key" value="${formKey}" />
      <p>Paused since ${moment(pause.sinceMs)}${reasonOf(pause)}.</p>
      <div class="acts"><button class="primary">Lift the pause</button></div>
    </form>`;
  }
  return html`<form class="form" method="post" action="${base}/pause" autocomplete="off">
    <input type="hidden" name="key" value="${formKey}" />
    <p class="hint">${says}</p>
    <label for="reason">Why, for those who are refused</label>
    <input class="text" id="reason" name="reason" type="text" required maxlength="300" />
    <div class="acts"><button class="grave">Pause</button></div>
  </form>`;
}
