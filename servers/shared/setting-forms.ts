import * as z from "zod";

/** A setting that lists things with commas between; empty where absent. */
export const commaSeparated = z
  .string()
  .default("")
  .transform((list) =>
    list
      .split(",")
      .map((entry) => entry.trim())
      .filter((entry) => entry !== ""),
  );

/** A setting that is JSON; an empty object where absent. */
export function jsonText(example: string) {
  return z
    .string()
    .default("{}")
    .transform((text, context): unknown => {
      try {
        return JSON.parse(text);
      } catch {
        context.addIssue(`give JSON such as ${example}`);
        return z.NEVER;
      }
    });
}
