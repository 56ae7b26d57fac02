import { ToolError } from "../shared/errors.ts";
import { childBudget, chargeChild, settleChild } from "./budget.ts";
import type { RunParent } from "./host.ts";
import { leftMs } from "./step-context.ts";
import type { Transcript } from "./transcript.ts";

/** Less than this is no budget to start anything with. */
const MIN_CHILD_TOKENS = 1_000;

/** A run as the parent of those that it starts: they draw on its budget. */
export function asParent(transcript: Transcript, now: () => number): RunParent {
  const { runId, depth, sandbox, tools } = transcript.read();
  return {
    runId,
    depth,
    sandbox,
    ...(tools === undefined ? {} : { tools }),
    reserveChild: (childId, asked) => {
      const run = transcript.read();
      const budget = childBudget(run.budget, run.ledger, asked, Math.floor(leftMs(run, now()) / 1_000));
      if (budget.tokens < MIN_CHILD_TOKENS || budget.seconds < 1 || (budget.nanoUsd ?? 1) < 1) {
        const message = "Too little of your budget is left for a sub-agent; do the work yourself.";
        throw new ToolError("limit_reached", message);
      }
      transcript.update({ ledger: chargeChild(run.ledger, childId, budget) });
      return budget;
    },
    settleChild: (childId, ledger) => {
      transcript.update({ ledger: settleChild(transcript.read().ledger, childId, ledger) });
    },
  };
}
