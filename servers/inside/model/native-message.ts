import * as z from "zod";
import { parseJson } from "../../shared/parse-json.ts";
import { present } from "./ask-schema.ts";
import type { MessageEvent } from "./native-answer.ts";

const fields = z.record(z.string(), z.unknown()).catch({});
const position = z.int().min(0).catch(0);

interface Begun {
  readonly block: Record<string, unknown>;
  /** The input of a call, as far as it is written. */
  json: string;
  readonly citations: unknown[];
}

/** The message that the events of Anthropic's stream tell together. However many they are, each is read once. */
export function assembledMessage(events: readonly MessageEvent[]): unknown {
  const blocks = new Map<number, Begun>();
  const message: Record<string, unknown> = {};
  const used: Record<string, unknown> = {};
  for (const { type, message: begun, delta, usage, index, content_block, ...rest } of events) {
    const at = position.parse(index);
    const block = blocks.get(at);
    if (type === "message_start") {
      Object.assign(message, begun);
      Object.assign(used, begun?.usage);
    }
    if (type === "content_block_start")
      blocks.set(at, { block: { ...fields.parse(content_block) }, json: "", citations: [] });
    if (type === "content_block_delta" && block !== undefined) append(block, fields.parse(delta));
    if (type !== "message_delta") continue;
    Object.assign(message, rest, fields.parse(delta));
    Object.assign(used, present(usage ?? {}));
  }
  const inOrder = [...blocks].toSorted(([a], [b]) => a - b);
  return { ...message, usage: used, content: inOrder.map(([, begun]) => wholeBlock(begun)) };
}

/** Texts are lengthened, a text's or a thought's and its signature; sources come one by one. */
function append(begun: Begun, { partial_json: json, citation, ...said }: Record<string, unknown>): void {
  const { block } = begun;
  if (typeof json === "string") begun.json += json;
  if (citation !== undefined) begun.citations.push(citation);
  for (const [field, value] of Object.entries(said)) {
    if (field === "type") continue;
    const before = block[field];
    block[field] = typeof before === "string" && typeof value === "string" ? before + value : value;
  }
}

function wholeBlock({ block, json, citations }: Begun): unknown {
  return {
    ...block,
    ...(json === "" ? {} : { input: parseJson(json) ?? {} }),
    ...(citations.length === 0 ? {} : { citations }),
  };
}
