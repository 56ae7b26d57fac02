import * as z from "zod";
import { ToolError } from "../../shared/errors.ts";

/** A picture comes in the request itself: what the provider would fetch is a way past the sandbox's network policy. */
export const pictureUrl = z
  .string()
  .regex(/^data:image\/[\w.+-]+;base64,[\w+/=-]*$/, "give the picture itself, as a data: URL with base64");

/** What names of models are made of: they are shown in the books. */
export const modelName = z.string().regex(/^[\w@./:[\]-]{1,200}$/, "that is no name of a model");

/** What is wrong with a request, in one sentence that says where. */
export function readAsked<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [path, problem] = deepest(parsed.error.issues);
  throw new ToolError("invalid_input", `${path.length === 0 ? "The request" : path.join(".")}: ${problem}.`);
}

type Found = readonly [path: readonly PropertyKey[], message: string];

/** Where something can be one of several, what is wrong with the one that it is most like. */
function deepest(issues: readonly z.core.$ZodIssue[]): Found {
  const [issue] = issues;
  if (issue === undefined) return [[], "it cannot be read"];
  const within = issue.code === "invalid_union" ? issue.errors.map(deepest) : [];
  const [path, message] = within.reduce<Found>(
    (most, each) => (each[0].length > most[0].length ? each : most),
    [[], issue.message],
  );
  return [[...issue.path, ...path], message];
}

/** The same without what is absent: JSON has no `undefined`, and endpoints refuse many a `null`. */
export function present<Value extends object>(value: Value): { [Key in keyof Value]?: NonNullable<Value[Key]> } {
  const kept: { [Key in keyof Value]?: NonNullable<Value[Key]> } = {};
  for (const key in value) {
    const found = value[key];
    if (found !== undefined && found !== null) kept[key] = found;
  }
  return kept;
}
