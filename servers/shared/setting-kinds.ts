import * as z from "zod";

/** A list in one text; what is empty in it is left out. */
export const commaSeparated = z
  .string()
  .default("")
  .transform((list) =>
    list
      .split(",")
      .map((host) => host.trim())
      .filter((host) => host !== ""),
  );

/** An address without a slash at its end. */
export const baseUrl = z
  .url({ protocol: /^https?$/, error: "give a URL that begins with https:// or http://" })
  .transform((url) => url.replace(/\/+$/, ""));

/** A name with a dot in it, as DNS has it, with room for a label before it. */
export const hostName = z
  .string()
  .max(180)
  .regex(
    /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$/,
    "give the host alone, in lower case, such as previews.example.com",
  );

export const duration = z.string().regex(/^[1-9]\d{0,4}[smh]$/, "give a number with s, m or h, such as 15m");
const DURATION_MS = { s: 1_000, m: 60_000, h: 3_600_000 } as const;

export const flag = z
  .enum(["true", "false"], { error: "give true or false" })
  .default("false")
  .transform((value) => value === "true");

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

const usdPerMillion = z.number().min(0).max(1_000_000);
export const modelPrices = jsonText('{"my-model": {"input": 1, "cached_input": 0.1, "output": 4}}').pipe(
  z.record(
    z.string(),
    z.strictObject({ input: usdPerMillion, cached_input: usdPerMillion.optional(), output: usdPerMillion }),
  ),
);

/** As requests spell it: lower case, without the port that the protocol has anyway. */
export const origin = z
  .url({ protocol: /^https?$/, error: "give an origin such as https://pincer.example.com", abort: true })
  .refine((url) => `${new URL(url).origin}/` === new URL(url).href, "give the origin alone, without a path")
  .transform((url) => new URL(url).origin);

/** A setting such as `30s` in milliseconds. */
export function durationMs(setting: string): number {
  const unit = setting.endsWith("s") ? "s" : setting.endsWith("m") ? "m" : "h";
  return Number.parseInt(setting) * DURATION_MS[unit];
}
