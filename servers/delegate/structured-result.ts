import { CfWorkerJsonSchemaValidator } from "@modelcontextprotocol/server/validators/cf-worker";
import * as z from "zod";
import { checkableSchema } from "./checkable-schema.ts";
import { metered } from "./metered.ts";

export type Structured =
  | { readonly ok: true; readonly json: string }
  /** `problem`: what is wrong, for the model to mend. */
  | { readonly ok: false; readonly problem: string };

const MAX_PROBLEM_CHARS = 2_000;
/** A hundred thousand checks of one value by one schema: seconds at most, for which others wait. */
const MAX_STEPS = 5_000_000;

/** What is wrong with a JSON Schema, if anything that a validator notices. */
export function schemaProblem(schema: string): string | undefined {
  try {
    check(null, schema);
    return undefined;
  } catch (failure) {
    return reasonOf(failure);
  }
}

/** The model's last words as JSON that fits the schema; a fence around it is let pass. */
export function structuredResult(text: string, schema: string): Structured {
  const value = parseJson(text);
  if (value === undefined) return { ok: false, problem: "It is not JSON." };
  try {
    const checked = check(value, schema);
    if (checked.valid) return { ok: true, json: JSON.stringify(value) };
    return { ok: false, problem: checked.errorMessage.slice(0, MAX_PROBLEM_CHARS) };
  } catch (failure) {
    return { ok: false, problem: `It cannot be checked: ${reasonOf(failure)}` };
  }
}

/** What of the schema is told to the model and not checked, for the run's caller. */
export function uncheckedNote(schema: string): string | undefined {
  if (checkableSchema(JSON.parse(schema)).isWhole) return undefined;
  return "output_schema: pattern and patternProperties were told to the model and not checked.";
}

const schemaObject = z.record(z.string(), z.json());

/** Throws where the schema, or what it makes of the value, has no end. */
function check(value: unknown, schema: string): ReturnType<ReturnType<CfWorkerJsonSchemaValidator["getValidator"]>> {
  const meter = { left: MAX_STEPS };
  const parsed = metered(schemaObject.parse(checkableSchema(JSON.parse(schema)).schema), meter);
  const isObject = typeof value === "object" && value !== null;
  return new CfWorkerJsonSchemaValidator().getValidator(parsed)(isObject ? metered(value, meter) : value);
}

function reasonOf(failure: unknown): string {
  const message = failure instanceof Error ? failure.message : String(failure);
  return message.split("\n", 1).join("").slice(0, 200);
}

function parseJson(text: string): unknown {
  const fenced = withinFence(text);
  for (const candidate of [text, ...(fenced === undefined ? [] : [fenced])]) {
    try {
      return JSON.parse(candidate);
    } catch {
      // The next candidate, or none.
    }
  }
  return undefined;
}

/** In two steps: as one expression it would read a long text again from each of its fences. */
function withinFence(text: string): string | undefined {
  const opening = /```(?:json)?[ \t\r]*\n/.exec(text);
  if (opening === null) return undefined;
  const begin = opening.index + opening[0].length;
  const end = text.indexOf("\n```", begin);
  return end === -1 ? undefined : text.slice(begin, end);
}
