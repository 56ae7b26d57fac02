import { type Html, html } from "../../auth/html.ts";
import { type Figures, NO_FIGURES, dayOf } from "../account/figures.ts";
import type { StorageUsage } from "../files/store.ts";
import { bytes, count, duration, usd } from "./format.ts";
import { type Look, type Thing, lookAt, lookAtThing } from "./look.ts";
import { newsNote, problemNote } from "./news.ts";
import { pauseNote } from "./limits-page.ts";
import { liveNote } from "./live-note.ts";
import { type PersonContext, personPage } from "./page-context.ts";
import { isUnderWay, listThings } from "./thing-list.ts";
import { hasTerminal } from "./terminal-page.ts";
import { thingPart } from "./thing-part.ts";

/** Where the live parts of each kind go, and what stands there while there are none. */
const KINDS = [
  ["sandbox", "Sandboxes", "No sandbox yet: the first command starts one."],
  ["browser", "Browsers", "No browser yet: the first page that is opened starts one."],
  ["run", "Sub-agents", "No sub-agent yet: delegate_run starts one."],
] as const;

/** What a person's agents are doing, and a hand on each of it. */
export async function overviewPage(context: PersonContext): Promise<Response> {
  const { desk, whose, url } = context;
  const account = desk.account(whose.userId);
  const nowMs = desk.now().getTime();
  const today = dayOf(nowMs);
  const [things, usage, storage, standing, policy] = await Promise.all([
    lookAt(async () => await account.things()),
    lookAt(async () => await account.usage({ fromDay: today, toDay: today, by: "day" })),
    lookAt(async () => await desk.filesOf(whose.userId).usage()),
    lookAt(async () => await account.standing()),
    lookAt(async () => await desk.directory().policy()),
  ]);
  const listed = things.kind === "seen" ? listThings(things.seen, nowMs) : [];
  const seen = await Promise.all(listed.map(async (thing) => await lookAtWhatRuns(thing, context)));
  const problem =
    things.kind === "silent"
      ? problemNote(
          "The account does not answer right now, so it is not known what runs. Load the page again in a moment.",
        )
      : undefined;
  const paused =
    standing.kind === "seen" && policy.kind === "seen" ? pauseNote(policy.seen, standing.seen, whose.isOwn) : undefined;
  const body = html`${newsNote(url)} ${problem} ${paused} ${todaysFigures(usage, storage)}
  ${KINDS.map(([kind, heading, none]) => section(kind, heading, none, seen, context))}`;
  return personPage(context, { at: "", title: "Overview", beside: liveNote(`${whose.base}/live`), body });
}

/** A run that has ended says nothing new. */
export async function lookAtWhatRuns(thing: Thing, { desk, whose }: PersonContext): Promise<Thing> {
  if (thing.kind === "run" && !isUnderWay(thing.run, desk.now().getTime())) return thing;
  return await lookAtThing(thing, desk.thingsOf(whose.userId));
}

export function partOf(thing: Thing, context: PersonContext): Html {
  const { desk, whose, visit } = context;
  const { formKey } = visit.visitor;
  const nowMs = desk.now().getTime();
  return thingPart(thing, { base: whose.base, formKey, nowMs, hasTerminal: hasTerminal(context) });
}

/** The id of the list that a thing stands in. */
export function listOf(thing: Thing): string {
  return `${thing.kind}-list`;
}

function section(
  kind: Thing["kind"],
  heading: string,
  none: string,
  things: readonly Thing[],
  context: PersonContext,
): Html {
  return html`<section aria-labelledby="${kind}-head">
    <h2 id="${kind}-head">${heading}</h2>
    <div class="things" id="${kind}-list">
      ${things.filter((thing) => thing.kind === kind).map((thing) => partOf(thing, context))}
    </div>
    <p class="soft none">${none}</p>
  </section>`;
}

function todaysFigures(usage: Look<readonly Figures[]>, storage: Look<StorageUsage>): Html | undefined {
  if (usage.kind === "silent") return undefined;
  const day = usage.seen[0] ?? NO_FIGURES;
  const files = storage.kind === "silent" ? undefined : storage.seen;
  return html`<dl class="figures">
    <div>
      <dt>Cost today</dt>
      <dd>${usd(day.nanoUsd + day.estimatedNanoUsd)}<small>${usd(day.nanoUsd)} measured</small></dd>
    </div>
    <div>
      <dt>Calls today</dt>
      <dd>${count(day.calls)}<small>${count(day.failed)} failed</small></dd>
    </div>
    <div>
      <dt>Model tokens today</dt>
      <dd>${count(day.inputTokens + day.outputTokens)}</dd>
    </div>
    <div>
      <dt>Sandboxes and browsers ran</dt>
      <dd>${duration(day.sandboxMs + day.browserMs)}</dd>
    </div>
    <div>
      <dt>Files and trash</dt>
      <dd>
        ${files === undefined ? "unknown" : bytes(files.filesBytes + files.trashBytes)}${files === undefined ? undefined : html`<small>of ${bytes(files.quotaBytes)}</small>`}
      </dd>
    </div>
  </dl>`;
}
