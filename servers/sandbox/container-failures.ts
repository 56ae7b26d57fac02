import { ToolError } from "../shared/errors.ts";
import { Unrestored } from "./workspace.ts";

/** What the platform and the SDK say where no container is free, and the container's server where it cannot fork. */
const NO_CONTAINER = /CONTAINER_UNAVAILABLE|ContainerUnavailable|no container instance|max_?instances/i;
const NO_PROCESS = /EAGAIN|ENOMEM|Resource temporarily unavailable/;

const FRESH_NEXT = "the next call starts it anew with what its last snapshot holds";

/** What went wrong with a container, as its caller is told. An error that crossed the Durable Object lost its code. */
export function containerFailure(error: unknown): Error {
  if (error instanceof ToolError || error instanceof Unrestored) return error;
  const said = error instanceof Error ? `${error.name} ${error.message}` : "";
  return NO_CONTAINER.test(said)
    ? new ToolError("unavailable", "All sandboxes are in use; try again in a few minutes.", { cause: error })
    : new ToolError("unavailable", "The sandbox did not answer; try again in a minute.", { cause: error });
}

/** Whether the container's server, or a program that it had started, could start nothing any more: only its end helps. */
export function isOutOfProcesses(error: unknown): boolean {
  if (error instanceof ToolError || !(error instanceof Error)) return false;
  return NO_PROCESS.test(`${error.name} ${error.message}`) || isOutOfProcesses(error.cause);
}

/** The container is gone or was ended by us. `what` is the sentence's beginning. */
export function endedContainer(what: string, cause?: unknown): ToolError {
  return new ToolError("unavailable", `${what}; ${FRESH_NEXT}.`, { cause });
}

export function cancelled(cause?: unknown): ToolError {
  return new ToolError("cancelled", "The call was cancelled; what it had started was ended.", { cause });
}
