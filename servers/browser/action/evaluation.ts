import type { CDPSession } from "@cloudflare/puppeteer";
import { ToolError } from "../../shared/errors.ts";
import { PageElement } from "./element.ts";
import type { LivePage } from "../chrome/live-page.ts";
import type { EvaluateRequest } from "../session.ts";
import { tidy } from "../snapshot/snapshot-writer.ts";

const MAX_ERROR_CHARS = 500;
const MAX_VALUE_CHARS = 200_000;

/** A value of the page, as CDP's `Runtime.RemoteObject` gives it. */
interface RemoteValue {
  readonly objectId?: string;
  readonly value?: unknown;
  readonly unserializableValue?: string;
}

/** Takes over what JSON leaves out, and what would make it very long. */
const TO_JSON = `function () {
  const seen = new WeakSet();
  const json = JSON.stringify(this, (key, value) => {
    if (typeof value === "bigint" || typeof value === "function" || typeof value === "symbol") return String(value);
    if (value instanceof Element) return value.outerHTML.slice(0, 500);
    if (value instanceof Map || value instanceof Set) return [...value];
    if (value instanceof Error) return String(value);
    if (typeof value === "object" && value !== null) {
      if (seen.has(value)) return "(seen above)";
      seen.add(value);
    }
    return value;
  });
  return json === undefined ? "undefined" : json.slice(0, ${MAX_VALUE_CHARS + 1});
}`;

const AWAIT = "async function () { return await this; }";
const CALL = "async function () { return await this(); }";

/**
 * Runs a script among the page's own: statements, with `await`, the last value counting, or a function, which is called.
 * With an element it is a function of that. Returns JSON of at most 200,001 characters. What the script throws becomes
 * `invalid_input`.
 */
export async function evaluate(live: LivePage, { script, ref }: EvaluateRequest): Promise<string> {
  const element = ref === undefined ? undefined : await PageElement.find(live, ref);
  if (element !== undefined) {
    const objectId = await element.inPageWorld();
    return await call(element.session, objectId, `async function () { return await (${script}\n)(this); }`);
  }
  const { result, exceptionDetails } = await live.session.send("Runtime.evaluate", {
    expression: script,
    awaitPromise: true,
    replMode: true,
    userGesture: true,
  });
  if (exceptionDetails !== undefined) throw failureOf(exceptionDetails);
  if (result.objectId !== undefined) {
    // What a REPL awaits are the statements, not the value of the last one.
    if (result.subtype === "promise") return await call(live.session, result.objectId, AWAIT);
    if (result.type === "function") return await call(live.session, result.objectId, CALL);
  }
  return await toJson(live.session, result);
}

async function call(session: CDPSession, objectId: string, functionDeclaration: string): Promise<string> {
  const { result, exceptionDetails } = await session.send("Runtime.callFunctionOn", {
    objectId,
    functionDeclaration,
    awaitPromise: true,
    userGesture: true,
  });
  if (exceptionDetails !== undefined) throw failureOf(exceptionDetails);
  return await toJson(session, result);
}

async function toJson(session: CDPSession, { objectId, value, unserializableValue }: RemoteValue): Promise<string> {
  if (objectId === undefined) return cap(unserializableValue ?? JSON.stringify(value) ?? "undefined");
  const { result, exceptionDetails } = await session.send("Runtime.callFunctionOn", {
    objectId,
    functionDeclaration: TO_JSON,
    returnByValue: true,
  });
  if (exceptionDetails !== undefined) throw failureOf(exceptionDetails);
  return cap(String(result.value));
}

/** A page may have changed what cuts its own answers. */
function cap(json: string): string {
  return json.slice(0, MAX_VALUE_CHARS + 1).toWellFormed();
}

/** The page's words, cut and on one line, so that the reader can mend the script. */
function failureOf({
  text,
  exception,
}: {
  readonly text: string;
  readonly exception?: { readonly description?: string; readonly value?: unknown };
}): ToolError {
  const said = tidy(exception?.description ?? JSON.stringify(exception?.value) ?? text)
    .slice(0, MAX_ERROR_CHARS)
    .toWellFormed();
  return new ToolError("invalid_input", `The script failed; mend it and call again. It threw (untrusted): ${said}`);
}
