import { type Html, html, oneLine } from "../../auth/html.ts";
import type { Things } from "../account/account-books.ts";
import { NO_FIGURES, dayOf } from "../account/figures.ts";
import type { KnownPerson } from "../directory/people-table.ts";
import { type Fact, card } from "./card.ts";
import { ago, count, duration, usd } from "./format.ts";
import { pauseNote } from "./limits-page.ts";
import { liveNote } from "./live-note.ts";
import { type Look, lookAt } from "./look.ts";
import { personName } from "./names.ts";
import { type PageContext, everybodysPage } from "./page-context.ts";
import { isUnderWay } from "./thing-list.ts";

/** Those who were here last. */
export const SHOWN_PEOPLE = 25;
/** What was used since then is called at work. */
const LATELY_MS = 15 * 60_000;

/** A person, and what they have at work. */
export interface PersonSeen {
  readonly person: KnownPerson;
  readonly look: Look<Things>;
}

/** What everybody's agents are doing. */
export async function everybodysOverview(context: PageContext): Promise<Response> {
  const { desk } = context;
  const nowMs = desk.now().getTime();
  const directory = desk.directory();
  const today = dayOf(nowMs);
  const [{ people }, [day = NO_FIGURES], [month = NO_FIGURES], active, policy] = await Promise.all([
    directory.people({ limit: SHOWN_PEOPLE }),
    directory.usage({ fromDay: today, toDay: today, by: "day" }, 1),
    monthOf(context, today),
    directory.activeSince(Date.parse(today), 1_000),
    directory.policy(),
  ]);
  const seen = await Promise.all(people.map(async (person) => await lookAtPerson(person, context)));
  const runs = seen.flatMap(({ look }) => (look.kind === "seen" ? look.seen.runs : []));
  const body = html`${pauseNote(policy, {}, false)}
    <dl class="figures">
      <div>
        <dt>Cost today</dt>
        <dd>
          ${usd(day.nanoUsd + day.estimatedNanoUsd)}<small
            >${usd(month.nanoUsd + month.estimatedNanoUsd)} this month</small
          >
        </dd>
      </div>
      <div>
        <dt>Calls today</dt>
        <dd>${count(day.calls)}<small>${count(day.failed)} failed</small></dd>
      </div>
      <div>
        <dt>People today</dt>
        <dd>${active.length === 1_000 ? "1,000 or more" : count(active.length)}</dd>
      </div>
      <div>
        <dt>Sub-agents at work</dt>
        <dd>${count(runs.filter((run) => isUnderWay(run, nowMs)).length)}<small>of those shown here</small></dd>
      </div>
      <div>
        <dt>Sandboxes ran today</dt>
        <dd>${duration(day.sandboxMs)}<small>browsers ${duration(day.browserMs)}</small></dd>
      </div>
    </dl>
    <section aria-labelledby="people-head">
      <h2 id="people-head">Here last</h2>
      <div class="things" id="people-list">${seen.map((one) => personPart(one, nowMs))}</div>
      <p class="soft none">Nobody has signed in yet.</p>
    </section>
    <p><a href="/admin/people">All people</a></p>`;
  return everybodysPage(context, { at: "", title: "Overview", beside: liveNote("/admin/live"), body });
}

async function monthOf({ desk }: PageContext, today: string) {
  const rows = await desk.directory().usage({ fromDay: `${today.slice(0, 7)}-01`, toDay: today, by: "day" }, 31);
  const sum = (name: "nanoUsd" | "estimatedNanoUsd"): number => rows.reduce((total, row) => total + row[name], 0);
  return [{ ...NO_FIGURES, nanoUsd: sum("nanoUsd"), estimatedNanoUsd: sum("estimatedNanoUsd") }];
}

export async function lookAtPerson(person: KnownPerson, { desk }: PageContext): Promise<PersonSeen> {
  return { person, look: await lookAt(async () => await desk.account(person.userId).things()) };
}

export function personPart({ person, look }: PersonSeen, nowMs: number): Html {
  const { userId, month, isPaused, lastSeenMs } = person;
  const name = personName(person);
  return card({
    id: `person-${userId}`,
    name,
    state: isPaused ? html`<span class="state bad">paused</span>` : undefined,
    acts: html`<a class="button" id="person-${userId}-open" href="/admin/people/${userId}"
      >Look closer<span class="unseen"> at ${name}</span></a
    >`,
    facts: [
      ["Last seen", ago(lastSeenMs, nowMs)],
      ["Calls this month", count(month.calls)],
      ["Cost this month", usd(month.nanoUsd + month.estimatedNanoUsd)],
      ...atWork(look, nowMs),
    ],
  });
}

function atWork(look: Look<Things>, nowMs: number): Fact[] {
  if (look.kind === "silent") return [["At work", "the account does not answer"]];
  const { handles, runs } = look.seen;
  const lately = handles.filter(({ lastUsedMs }) => nowMs - lastUsedMs < LATELY_MS);
  const names = (kind: "sandbox" | "browser"): string =>
    lately
      .filter((handle) => handle.kind === kind)
      .map(({ name }) => name)
      .join(", ");
  const going = runs.filter((run) => isUnderWay(run, nowMs));
  const facts: Fact[] = [
    ["Sandboxes in use", names("sandbox")],
    ["Browsers in use", names("browser")],
    ["Sub-agents at work", going.map(({ title }) => oneLine(title, 60)).join("; ")],
  ];
  const busy = facts.filter(([, value]) => value !== "");
  return busy.length > 0 ? busy : [["At work", "nothing in the last 15 minutes"]];
}
