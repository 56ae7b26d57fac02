import * as z from "zod";
import { seeOther } from "../../auth/account-routes.ts";
import { problemPage } from "../../auth/consent.ts";
import { html } from "../../auth/html.ts";
import { ToolError } from "../shared/errors.ts";
import { isHandleName, isRunId } from "../shared/handles.ts";
import { type ActedOn, type ThingAct, actButton } from "./act-form.ts";
import type { Acts } from "./acts.ts";
import { type PersonContext, personPage } from "./page-context.ts";
import { PRESETS } from "./presets.ts";
import { recorded } from "./record-act.ts";
import { hasTerminal } from "./terminal-page.ts";

const handle = z.string().refine(isHandleName);
const orderSchema = z.union([
  z.object({ act: z.enum(["snapshot", "restart", "sleep", "reset"]), kind: z.literal("sandbox"), name: handle }),
  z.object({
    act: z.literal("kill"),
    kind: z.literal("sandbox"),
    name: handle,
    process: z.string().regex(/^[\w.:-]{1,80}$/),
  }),
  z.object({
    act: z.literal("withdraw"),
    kind: z.literal("sandbox"),
    name: handle,
    port: z.coerce.number().pipe(z.int().min(1).max(65_535)),
  }),
  z.object({
    act: z.enum(["start-preset", "stop-preset"]),
    kind: z.literal("sandbox"),
    name: handle,
    preset: z.string().refine((name) => PRESETS.some((preset) => preset.name === name)),
  }),
  z.object({ act: z.literal("close"), kind: z.literal("browser"), name: handle }),
  z.object({ act: z.literal("cancel"), kind: z.literal("run"), name: z.string().refine(isRunId) }),
]);
type Order = z.output<typeof orderSchema>;

/** Does what a form of the overview asks for. */
export async function actOnThing(form: URLSearchParams, context: PersonContext): Promise<Response> {
  const { desk, whose } = context;
  const order = orderSchema.safeParse(Object.fromEntries(form)).data;
  if (order === undefined)
    return problemPage(400, "That cannot be done", `Open ${whose.base} and press a button there.`);
  const acts = desk.actsOn(whose.userId);
  await recorded(context, order.act, order, async () => await perform(order, acts, hasTerminal(context)));
  return seeOther(`${whose.base}?done=${order.act}`);
}

async function perform(order: Order, acts: Acts, mayRun: boolean): Promise<void> {
  switch (order.act) {
    case "snapshot":
      return await acts.snapshot(order.name);
    case "restart":
      return await acts.restart(order.name);
    case "sleep":
      return await acts.sleep(order.name);
    case "reset":
      return await acts.reset(order.name);
    case "kill":
      return await acts.killProcess(order.name, order.process);
    case "withdraw":
      return await acts.withdraw(order.name, order.port);
    case "start-preset":
    case "stop-preset": {
      if (!mayRun) throw new ToolError("forbidden", "Agents are started and stopped by their own person.");
      const preset = PRESETS.find(({ name }) => name === order.preset);
      if (preset === undefined) throw new Error(`${order.preset} was a preset.`);
      const act = order.act === "start-preset" ? acts.startPreset : acts.stopPreset;
      return await act(order.name, preset);
    }
    case "close":
      return await acts.closeBrowser(order.name);
    case "cancel":
      return await acts.cancelRun(order.name);
  }
}

/** Asks once more before what cannot be taken back. */
export async function confirmPage(context: PersonContext): Promise<Response> {
  const { url, whose, visit } = context;
  const asked = z
    .object({ act: z.literal("reset" satisfies ThingAct), kind: z.literal("sandbox"), name: handle })
    .safeParse(Object.fromEntries(url.searchParams)).data;
  if (asked === undefined)
    return problemPage(404, "There is nothing to confirm", `Open ${whose.base} and start again.`);
  const { act, name } = asked;
  const of: ActedOn = { kind: asked.kind, name };
  const body = html`<p class="lead">
      Everything that runs in it ends, and <code>/workspace</code> is emptied, with its snapshots. What lies in
      <code>/workspace/files</code> stays. This cannot be taken back.
    </p>
    <div class="acts">
      ${actButton({ base: whose.base, formKey: visit.visitor.formKey }, { act, of, words: "Reset it", id: "confirmed" })}
      <a class="button" href="${whose.base}">Leave it as it is</a>
    </div>`;
  return personPage(context, { at: "", title: `Reset the sandbox ${name}?`, body });
}
