import { ProtocolError, ProtocolErrorCode } from "@modelcontextprotocol/server";
import { errorText } from "../shared/errors.ts";
import { type CallPipeline, type Callable, callRecorded } from "./call.ts";

/**
 * Does what a method of MCP beside tools asks for, with scopes and an entry in the books as a tool has them. Such methods
 * have no results that are errors: what failed is an error of the protocol.
 */
export async function callMethod<Outcome>(
  method: Callable,
  input: unknown,
  pipeline: CallPipeline,
  work: () => Promise<Outcome>,
): Promise<Outcome> {
  const end = await callRecorded(method, input, pipeline, sizeOf, work);
  if (end.ok) return end.outcome;
  const code = end.error.code === "internal" ? ProtocolErrorCode.InternalError : ProtocolErrorCode.InvalidParams;
  throw new ProtocolError(code, errorText(end.error));
}

function sizeOf(outcome: unknown): number {
  return outcome === undefined ? 0 : JSON.stringify(outcome).length;
}
