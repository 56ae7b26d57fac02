import { seeOther } from "../../auth/account-routes.ts";
import { ToolError } from "../shared/errors.ts";
import { type Limits, ROLES } from "../shared/limits.ts";
import { limitsIn } from "./limit-words.ts";
import type { PageContext, PersonContext } from "./page-context.ts";
import { recorded, recordedForAll } from "./record-act.ts";

export async function setPersonLimits(form: URLSearchParams, context: PersonContext): Promise<Response> {
  const { desk, whose } = context;
  const limits = readLimits(form);
  await recorded(context, "limits", limits, async () => await desk.rules().setPersonLimits(whose.userId, limits));
  return seeOther(`${whose.base}/limits?done=limits`);
}

export async function pausePerson(form: URLSearchParams, context: PersonContext): Promise<Response> {
  const { desk, whose } = context;
  const reason = form.get("reason") ?? "";
  await recorded(context, "pause", { reason }, async () => await desk.rules().pausePerson(whose.userId, reason));
  return seeOther(`${whose.base}/limits?done=paused`);
}

export async function resumePerson(_form: URLSearchParams, context: PersonContext): Promise<Response> {
  const { desk, whose } = context;
  await recorded(context, "resume", {}, async () => await desk.rules().resumePerson(whose.userId));
  return seeOther(`${whose.base}/limits?done=resumed`);
}

export async function setRoleLimits(form: URLSearchParams, context: PageContext): Promise<Response> {
  const role = ROLES.find((known) => known === form.get("role"));
  if (role === undefined) throw new ToolError("invalid_input", "There is no such role; open /admin/limits.");
  const limits = form.has("reset") ? undefined : readLimits(form);
  const { desk } = context;
  const input = { role, limits: limits ?? "settings" };
  await recordedForAll(context, "role_limits", input, async () => await desk.rules().setRoleLimits(role, limits));
  return seeOther("/admin/limits?done=limits");
}

export async function pauseAll(form: URLSearchParams, context: PageContext): Promise<Response> {
  const reason = form.get("reason") ?? "";
  await recordedForAll(context, "pause_all", { reason }, async () => await context.desk.rules().pauseAll(reason));
  return seeOther("/admin/limits?done=paused");
}

export async function resumeAll(_form: URLSearchParams, context: PageContext): Promise<Response> {
  await recordedForAll(context, "resume_all", {}, async () => await context.desk.rules().resumeAll());
  return seeOther("/admin/limits?done=resumed");
}

function readLimits(form: URLSearchParams): Limits {
  const limits = limitsIn(form);
  if (limits !== undefined) return limits;
  throw new ToolError("invalid_input", "One of the limits is no number from 0 to 1,000,000; go back and correct it.");
}
