import * as z from "zod";

/** What a test has done to somebody's work; `text` is the reason, or what it is done to. */
export const rulesOrder = z.object({
  do: z.enum([
    "pausePerson",
    "resumePerson",
    "pauseAll",
    "resumeAll",
    "snapshot",
    "restart",
    "sleep",
    "closeBrowser",
    "cancelRun",
  ]),
  text: z.string(),
});

export type RulesOrder = z.output<typeof rulesOrder>;
