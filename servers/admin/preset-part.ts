import { type Html, html } from "../../auth/html.ts";
import type { Preview } from "../sandbox/previews.ts";
import { type ActForm, actButton } from "./act-form.ts";
import type { PresetSeen } from "./presets.ts";
import { table } from "./table.ts";

interface PresetsView extends ActForm {
  /** The id of the sandbox's part. */
  readonly id: string;
  readonly sandbox: string;
  readonly previews: readonly Preview[];
}

/** The agents that a sandbox has or can have, each with a button that starts or stops it. */
export function presetList(all: readonly PresetSeen[], view: PresetsView): Html {
  const { id, sandbox } = view;
  return html`<details id="${id}-presets">
    <summary id="${id}-presets-head">Agents</summary>
    ${table({
      caption: `Agents of the sandbox ${sandbox}`,
      hasHiddenCaption: true,
      columns: [{ head: "Agent" }, { head: "State" }, { head: "Act" }],
      rows: all.map((seen) => ({ cells: [nameOf(seen), stateOf(seen, view), actOn(seen, view)] })),
      empty: "",
    })}
  </details>`;
}

function nameOf({ preset: { title, description } }: PresetSeen): Html {
  return html`<div class="said">${title}<br /><span class="soft">${description}</span></div>`;
}

function stateOf({ preset, isListening, start, problem }: PresetSeen, { id, previews }: PresetsView): Html | string {
  if (start?.isRunning === true) return preset.port === undefined ? "being installed" : "being started";
  if (isListening) {
    const preview = previews.find(({ port }) => port === preset.port);
    if (preview === undefined) return "runs";
    const page = html`<a id="${id}-preset-${preset.name}-page" href="${preview.url}" rel="noreferrer">its page</a>`;
    return html`<span>runs at ${page}</span>`;
  }
  if (problem !== undefined)
    return html`<div class="said">
      did not start
      <pre>${problem}</pre>
    </div>`;
  if (preset.port === undefined) return start === undefined ? "not known" : "installed";
  return "does not run";
}

function actOn({ preset: { name, title, port }, isListening, start }: PresetSeen, view: PresetsView): Html | undefined {
  if (start?.isRunning === true) return undefined;
  const act = isListening ? "stop-preset" : "start-preset";
  const words = isListening ? "Stop" : port === undefined ? "Install" : "Start";
  const of = { kind: "sandbox", name: view.sandbox, preset: { name, title } } as const;
  return actButton(view, { act, of, words, id: `${view.id}-${act}-${name}` });
}
