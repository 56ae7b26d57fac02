import * as z from "zod";

const checkSchema = z.object({
  name: z.string(),
  /** `off`: not set up, which is no fault. */
  state: z.enum(["ok", "warning", "broken", "off"]),
  /** What was found, in words for whoever runs Pincer; no secret and no setting's value is in it. */
  says: z.string(),
  /** What to do about it. */
  todo: z.string().exactOptional(),
  took_ms: z.number(),
});

/** A call that broke inside Pincer: its client was told the reference, and the log says the rest under it. */
const errorSchema = z.object({
  reference: z.string(),
  at: z.iso.datetime(),
  tool: z.string(),
  user_id: z.string(),
  /** Their name; empty where nobody knows it. */
  person: z.string(),
});

/** What checks of a suite have found: as JSON, what `npm run doctor` reads. */
export const healthReport = z.object({
  checks: z.array(checkSchema).readonly(),
  versions: z.array(z.object({ name: z.string(), version: z.string() })).readonly(),
  /** The newest first. */
  errors: z.array(errorSchema).readonly(),
});

export type Check = Readonly<z.output<typeof checkSchema>>;
export type ReportedError = Readonly<z.output<typeof errorSchema>>;
export type HealthReport = Readonly<z.output<typeof healthReport>>;

/** What one check has found. */
export type Finding = Omit<Check, "name" | "took_ms">;

export function isBroken(checks: readonly Check[]): boolean {
  return checks.some(({ state }) => state === "broken");
}
