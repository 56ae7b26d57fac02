import { CfWorkerJsonSchemaValidator } from "@modelcontextprotocol/server/validators/cf-worker";
import * as z from "zod";
import { describeFailure } from "../core/log.ts";

export type Structured =
  | { readonly ok: true; readonly json: string }
  /** `problem`: what is wrong, for the model to mend. */
  | { readonly ok: false; readonly problem: string };

const MAX_PROBLEM_CHARS = 2_000;

/** What is wrong with a JSON Schema, if anything that a validator notices. */
export function schemaProblem(schema: string): string | undefined {
  try {
    validatorOf(schema)(null);
    return undefined;
  } catch (failure) {
    return describeFailure(failure).slice(0, 200);
  }
}

/** The model's last words as JSON that fits the schema; a fence around it is let pass. */
export function structuredResult(text: string, schema: string): Structured {
  const value = parseJson(text);
  if (value === undefined) return { ok: false, problem: "It is not JSON." };
  const checked = validatorOf(schema)(value);
  if (checked.valid) return { ok: true, json: JSON.stringify(value) };
  return { ok: false, problem: checked.errorMessage.slice(0, MAX_PROBLEM_CHARS) };
}

function validatorOf(schema: string): ReturnType<CfWorkerJsonSchemaValidator["getValidator"]> {
  return new CfWorkerJsonSchemaValidator().getValidator(z.record(z.string(), z.json()).parse(JSON.parse(schema)));
}

function parseJson(text: string): unknown {
  const fenced = /```(?:json)?\s*\n([\s\S]*?)\n```/.exec(text)?.[1];
  for (const candidate of [text, ...(fenced === undefined ? [] : [fenced])]) {
    try {
      return JSON.parse(candidate);
    } catch {
      // The next candidate, or none.
    }
  }
  return undefined;
}
