import { isSettings } from "../program/settings.mjs";

/** @typedef {import("../program/settings.mjs").Settings} Settings */

/** Where the state and the agent's folder were in Moltworker's containers. */
const OLD_STATE = /^\/root\/\.(?:openclaw|moltbot|clawdbot)(?=\/|$)/;
const OLD_WORKSPACE = /^\/root\/clawd(?=\/|$)/;

/** Of models, Cloudflare and the old gateway; what is named otherwise is the person's. */
const OLD_KEYS =
  /^(?:ANTHROPIC|OPENAI|OPENROUTER|GEMINI|GOOGLE|CLOUDFLARE|CF|AI_GATEWAY|R2|CDP|OPENCLAW|MOLTBOT|CLAWDBOT)_|^WORKER_URL$/;

/**
 * What a Moltworker's settings are here. The door, the models and the browser are the suite's own; channels with their
 * tokens, agents, automations and all else stay the person's.
 * @param {Settings} old
 * @param {string} state Where the state is here.
 * @returns {{ mapped: Settings, left: string[], workspace: "beside" | "within" }}
 */
export function fromMoltworker(old, state) {
  const { gateway, models, auth, browser, env } = old;
  const others = without(old, ["gateway", "models", "auth", "browser", "env", "meta", "wizard"]);
  const left = [
    ...(gateway === undefined ? [] : ["gateway (its token, and from where it was reached)"]),
    ...(models === undefined ? [] : ["models (endpoints and their keys)"]),
    ...(auth === undefined ? [] : ["auth (which keys models had)"]),
    ...(browser === undefined ? [] : ["browser (the CDP address and its secret)"]),
  ];
  const agents = isSettings(others["agents"]) ? others["agents"] : {};
  const defaults = isSettings(agents["defaults"]) ? agents["defaults"] : {};
  const { workspace, ...kept } = withoutModels(defaults);
  const list = Array.isArray(agents["list"]) ? { list: agents["list"].map(withoutModels) } : {};
  const own = keysOf(env, left);
  const mapped = moved({ ...others, agents: { ...agents, defaults: kept, ...list }, ...own }, state);
  return { mapped, left, workspace: OLD_WORKSPACE.test(String(workspace)) ? "beside" : "within" };
}

/** An agent's settings without what names models that are here no longer. @param {any} agent @returns {Settings} */
function withoutModels(agent) {
  return isSettings(agent) ? without(agent, ["model", "models", "imageModel"]) : agent;
}

/** @param {Settings} settings @param {readonly string[]} names @returns {Settings} */
function without(settings, names) {
  return Object.fromEntries(Object.entries(settings).filter(([name]) => !names.includes(name)));
}

/** @param {unknown} env @param {string[]} left @returns {Settings} */
function keysOf(env, left) {
  if (!isSettings(env)) return {};
  const sort = (/** @type {Settings} */ all) =>
    Object.fromEntries(
      Object.entries(all).filter(([name]) => {
        const isOld = OLD_KEYS.test(name);
        if (isOld) left.push(`env ${name}`);
        return !isOld;
      }),
    );
  const { vars, ...others } = env;
  return { env: { ...sort(others), ...(isSettings(vars) ? { vars: sort(vars) } : {}) } };
}

/** The same with what was at `/root` where it is here. @param {Settings} value @param {string} state @returns {Settings} */
export function moved(value, state) {
  /** @param {unknown} part @returns {unknown} */
  const move = (part) => {
    if (typeof part === "string") return part.replace(OLD_STATE, state).replace(OLD_WORKSPACE, `${state}/workspace`);
    if (Array.isArray(part)) return part.map(move);
    return isSettings(part) ? Object.fromEntries(Object.entries(part).map(([name, its]) => [name, move(its)])) : part;
  };
  return Object.fromEntries(Object.entries(value).map(([name, its]) => [name, move(its)]));
}
