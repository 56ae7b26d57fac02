import { seeOther } from "../../auth/account-routes.ts";
import { ToolError } from "../shared/errors.ts";
import { type Limits, ROLES } from "../shared/limits.ts";
import { limitsIn } from "./limit-words.ts";
import { type PageContext, type PersonContext, actorOf } from "./page-context.ts";

export async function setPersonLimits(form: URLSearchParams, context: PersonContext): Promise<Response> {
  const { desk, whose } = context;
  await desk.personActs(whose.userId, actorOf(context)).setPersonLimits(readLimits(form));
  return seeOther(`${whose.base}/limits?done=limits`);
}

export async function pausePerson(form: URLSearchParams, context: PersonContext): Promise<Response> {
  const { desk, whose } = context;
  await desk.personActs(whose.userId, actorOf(context)).pausePerson(form.get("reason") ?? "");
  return seeOther(`${whose.base}/limits?done=paused`);
}

export async function resumePerson(_form: URLSearchParams, context: PersonContext): Promise<Response> {
  const { desk, whose } = context;
  await desk.personActs(whose.userId, actorOf(context)).resumePerson();
  return seeOther(`${whose.base}/limits?done=resumed`);
}

export async function setRoleLimits(form: URLSearchParams, context: PageContext): Promise<Response> {
  const role = ROLES.find((known) => known === form.get("role"));
  if (role === undefined) throw new ToolError("invalid_input", "There is no such role; open /admin/limits.");
  const limits = form.has("reset") ? undefined : readLimits(form);
  await context.desk.deploymentActs(actorOf(context)).setRoleLimits(role, limits);
  return seeOther("/admin/limits?done=limits");
}

export async function pauseAll(form: URLSearchParams, context: PageContext): Promise<Response> {
  await context.desk.deploymentActs(actorOf(context)).pauseAll(form.get("reason") ?? "");
  return seeOther("/admin/limits?done=paused");
}

export async function resumeAll(_form: URLSearchParams, context: PageContext): Promise<Response> {
  await context.desk.deploymentActs(actorOf(context)).resumeAll();
  return seeOther("/admin/limits?done=resumed");
}

function readLimits(form: URLSearchParams): Limits {
  const limits = limitsIn(form);
  if (limits !== undefined) return limits;
  throw new ToolError("invalid_input", "One of the limits is no number from 0 to 1,000,000; go back and correct it.");
}
