import { type Html, html, oneLine } from "../../auth/html.ts";
import type { RunReport } from "../delegate/run-report.ts";
import type { Preview } from "../sandbox/previews.ts";
import type { ProcessInfo } from "../sandbox/process.ts";
import { type ActForm, actButton, confirmLink } from "./act-form.ts";
import { type Fact, card } from "./card.ts";
import { meter } from "./chart.ts";
import { ago, bytes, count, duration, moment, plural, usd } from "./format.ts";
import type { BrowserThing, Look, RunThing, SandboxThing, Thing } from "./look.ts";
import { presetList } from "./preset-part.ts";
import { table } from "./table.ts";
import { isUnderWay, thingId } from "./thing-list.ts";

/** Of the processes of a sandbox. */
const SHOWN_PROCESSES = 30;
const SHOWN_COMMAND_CHARS = 160;

interface PartContext extends ActForm {
  readonly nowMs: number;
  /** Whether whoever looks may type into the person's sandboxes. */
  readonly hasTerminal: boolean;
}

/** One thing of a person, as a part of a page that can be replaced by itself. */
export function thingPart(thing: Thing, context: PartContext): Html {
  switch (thing.kind) {
    case "sandbox":
      return sandboxPart(thing, context);
    case "browser":
      return browserPart(thing, context);
    case "run":
      return runPart(thing, context);
  }
}

function sandboxPart(thing: SandboxThing, context: PartContext): Html {
  const { handle, look } = thing;
  const { nowMs } = context;
  const id = thingId(thing);
  const of = { kind: "sandbox", name: handle.name } as const;
  const seen = look?.kind === "seen" ? look.seen : undefined;
  const isUp = seen?.status.state === "running";
  const button = (act: "snapshot" | "restart" | "sleep", words: string): Html =>
    actButton(context, { act, of, words, id: `${id}-${act}` });
  return card({
    id,
    name: handle.name,
    state: stateOf(look, seen?.status.state ?? "", isUp),
    acts: html`${context.hasTerminal ? terminalLink(context, handle.name, id) : undefined}
    ${isUp ? [button("snapshot", "Snapshot now"), button("restart", "Restart"), button("sleep", "Put to sleep")] : undefined}
    ${confirmLink(context, { act: "reset", of, words: "Reset…", id: `${id}-reset` })}`,
    facts: [
      ["Last used", ago(handle.lastUsedMs, nowMs)],
      ...(seen === undefined ? [] : sandboxFacts(seen.status, nowMs)),
    ],
    more:
      seen === undefined
        ? undefined
        : html`${context.hasTerminal && seen.presets.length > 0 ? presetList(seen.presets, { ...context, id, sandbox: handle.name, previews: seen.previews }) : undefined}
          ${previewList(id, handle.name, seen.previews, context)}
          ${processList(id, handle.name, seen.processes, context)}`,
  });
}

function terminalLink({ base }: PartContext, name: string, id: string): Html {
  return html`<a class="button" id="${id}-terminal" href="${base}/terminal?sandbox=${name}"
    >Terminal<span class="unseen"> ${name}</span></a
  >`;
}

function sandboxFacts(status: SandboxLookStatus, nowMs: number): Fact[] {
  const { driver, uptimeMs, snapshot, costUsd, memory, disk } = status;
  return [
    ["Driver", driver],
    ["Up for", uptimeMs === undefined ? "asleep" : duration(uptimeMs)],
    [
      "Snapshot",
      snapshot === undefined ? "none yet" : html`${ago(nowMs - snapshot.ageMs, nowMs)}, ${bytes(snapshot.sizeBytes)}`,
    ],
    ["Cost so far", usd(costUsd * 1e9)],
    ...(memory === undefined ? [] : [["Memory", usage(memory)] satisfies Fact]),
    ...(disk === undefined ? [] : [["Disk", usage(disk)] satisfies Fact]),
  ];
}

type SandboxLookStatus = Extract<NonNullable<SandboxThing["look"]>, { kind: "seen" }>["seen"]["status"];

function usage({ usedBytes, limitBytes }: { readonly usedBytes: number; readonly limitBytes?: number }): string {
  return limitBytes === undefined ? bytes(usedBytes) : `${bytes(usedBytes)} of ${bytes(limitBytes)}`;
}

function previewList(id: string, sandbox: string, all: readonly Preview[], context: PartContext): Html | undefined {
  if (all.length === 0) return undefined;
  return html`<details id="${id}-previews" open>
    <summary id="${id}-previews-head">${plural(all.length, "preview")}</summary>
    ${table({
      caption: `Previews of the sandbox ${sandbox}`,
      hasHiddenCaption: true,
      columns: [{ head: "Port", isNumber: true }, { head: "Opens for" }, { head: "Act" }],
      rows: all.map(({ port, url, sharedUntil }) => ({
        cells: [
          html`<a id="${id}-preview-${port}" href="${url}" rel="noreferrer"
            >${port}<span class="unseen"> preview</span></a
          >`,
          sharedUntil === undefined
            ? "its person"
            : html`<span>whoever has the link, until ${moment(sharedUntil.getTime())}</span>`,
          actButton(context, {
            act: "withdraw",
            of: { kind: "sandbox", name: sandbox, port },
            words: "Withdraw",
            id: `${id}-withdraw-${port}`,
          }),
        ],
      })),
      empty: "",
    })}
  </details>`;
}

function processList(id: string, sandbox: string, all: readonly ProcessInfo[], context: PartContext): Html {
  const running = all.filter(({ isRunning }) => isRunning).length;
  return html`<details id="${id}-processes">
    <summary id="${id}-processes-head">${plural(running, "process", "processes")} running</summary>
    ${table({
      caption: `Processes of the sandbox ${sandbox}`,
      hasHiddenCaption: true,
      columns: [
        { head: "Command" },
        { head: "Started" },
        { head: "For", isNumber: true },
        { head: "State" },
        { head: "Act" },
      ],
      rows: runningFirst(all)
        .slice(0, SHOWN_PROCESSES)
        .map((process) => ({
          cells: [
            html`<code class="command">${oneLine(process.command, SHOWN_COMMAND_CHARS)}</code>`,
            ago(process.startedAtMs, context.nowMs),
            duration(process.durationMs),
            processState(process),
            process.isRunning
              ? actButton(context, {
                  act: "kill",
                  of: { kind: "sandbox", name: sandbox, process: process.processId },
                  words: "End",
                  id: `${id}-kill-${process.processId}`,
                })
              : "",
          ],
        })),
      empty: "No process has run since it was started.",
    })}
  </details>`;
}

function runningFirst(all: readonly ProcessInfo[]): readonly ProcessInfo[] {
  return all.toSorted((one, other) => Number(other.isRunning) - Number(one.isRunning));
}

function processState({ isRunning, exitCode, signal, hasTimedOut }: ProcessInfo): string {
  if (isRunning) return "running";
  if (hasTimedOut) return "took too long";
  return signal === undefined ? `exit ${exitCode ?? "unknown"}` : signal;
}

function browserPart(thing: BrowserThing, context: PartContext): Html {
  const { handle, look } = thing;
  const id = thingId(thing);
  const seen = look?.kind === "seen" ? look.seen : undefined;
  const of = { kind: "browser", name: handle.name } as const;
  return card({
    id,
    name: handle.name,
    state: stateOf(look, seen === undefined ? "closed" : "open", seen !== undefined),
    acts: seen === undefined ? undefined : actButton(context, { act: "close", of, words: "Close", id: `${id}-close` }),
    facts: [
      ["Last used", ago(handle.lastUsedMs, context.nowMs)],
      ...(seen === undefined ? [] : [["Tabs open", count(seen.tabs.length)] satisfies Fact]),
    ],
    more:
      seen === undefined || seen.tabs.length === 0
        ? undefined
        : html`<details id="${id}-tabs">
            <summary id="${id}-tabs-head">${plural(seen.tabs.length, "tab")}</summary>
            <ul>
              ${seen.tabs.map(({ url, isCurrent }) => html`<li>${oneLine(url, 200)} ${isCurrent ? html`<span class="soft">(in front)</span>` : undefined}</li>`)}
            </ul>
          </details>`,
  });
}

function runPart(thing: RunThing, context: PartContext): Html {
  const { run, look } = thing;
  const { base, nowMs } = context;
  const seen = look?.kind === "seen" ? look.seen : undefined;
  const isGoing = isUnderWay(run, nowMs);
  const status = seen?.status ?? run.status ?? (isGoing ? "running" : "out of time");
  const of = { kind: "run", name: run.id } as const;
  return card({
    id: run.id,
    name: oneLine(run.title, 100),
    state: html`<span class="state ${stateLook(status, isGoing)}">${status.replaceAll("_", " ")}</span>`,
    acts: html`${isGoing ? actButton(context, { act: "cancel", of, words: "Cancel", id: `${run.id}-cancel` }) : undefined}
      <a class="button" id="${run.id}-calls" href="${base}/audit?run=${run.id}">Its calls</a>`,
    facts: [
      ["Budget used", budgetMeter(thing, seen), true],
      ...(seen === undefined
        ? []
        : ([
            ["Turns", `${seen.turns} of ${seen.budget.turns}`],
            [seen.question === undefined ? "Now" : "Asks", oneLine(seen.question ?? seen.activity, 160), true],
          ] satisfies Fact[])),
      ["Started", ago(run.startedAtMs, nowMs)],
      ...(isGoing ? [["Time left", duration(run.endsByMs - nowMs)] satisfies Fact] : []),
      ...(run.parentId === undefined
        ? []
        : ([["Started by", html`<a href="#${run.parentId}">${run.parentId}</a>`]] satisfies Fact[])),
    ],
    ...(look?.kind === "silent" ? { more: html`<p class="hint">It does not answer right now.</p>` } : {}),
  });
}

/** Dollars where the budget has some; tokens otherwise. What its account has heard is newer than the last look. */
function budgetMeter({ run }: RunThing, seen: RunReport | undefined): Html {
  const tokens = Math.max(run.spentTokens, seen?.ledger.charged.tokens ?? 0);
  const nanoUsd = Math.max(run.spentNanoUsd, seen?.ledger.charged.nanoUsd ?? 0);
  const budget = seen?.budget;
  if (budget === undefined) return html`${count(tokens)} tokens, ${usd(nanoUsd)}`;
  if (budget.nanoUsd !== undefined) return meter(nanoUsd, budget.nanoUsd, `${usd(nanoUsd)} of ${usd(budget.nanoUsd)}`);
  return meter(tokens, budget.tokens, `${count(tokens)} of ${count(budget.tokens)} tokens`);
}

function stateLook(status: string, isGoing: boolean): string {
  if (isGoing) return "on";
  return status === "completed" ? "" : "bad";
}

function stateOf(look: Look<unknown> | undefined, words: string, isOn: boolean): Html | undefined {
  if (look === undefined) return undefined;
  if (look.kind === "silent") return html`<span class="state bad">does not answer</span>`;
  return html`<span class="state ${isOn ? "on" : ""}">${words}</span>`;
}
