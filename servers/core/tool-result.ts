import type { CallToolResult, ContentBlock } from "@modelcontextprotocol/server";
import { fileUri } from "../shared/file-uri.ts";
import { errorText } from "../shared/errors.ts";
import type { CallEnd, CallPipeline } from "./call.ts";
import type { Attachment } from "./tool.ts";

/** How a call ended, as clients are told it, with what it took and what of its cost is known by now. */
export function toResult(end: CallEnd, { callNanoUsd }: Pick<CallPipeline, "callNanoUsd">): CallToolResult {
  const nanoUsd = callNanoUsd + (end.ok ? (end.outcome.nanoUsd ?? 0) : 0);
  const _meta = { "pincer/duration_ms": Math.round(end.durationMs), "pincer/cost_usd": nanoUsd / 1e9 };
  if (!end.ok) return { content: [{ type: "text", text: errorText(end.error) }], isError: true, _meta };
  const { data, text, attachments } = end.outcome;
  return {
    content: [{ type: "text", text }, ...attachments.map(contentBlock)],
    ...(data === undefined ? {} : { structuredContent: { ...data } }),
    _meta,
  };
}

function contentBlock(attachment: Attachment): ContentBlock {
  if (attachment.type === "image") return { type: "image", data: attachment.base64, mimeType: attachment.mimeType };
  if (attachment.type === "note") return { type: "text", text: attachment.text };
  const { path, mimeType, sizeBytes } = attachment;
  return { type: "resource_link", uri: fileUri(path), name: path, mimeType, size: sizeBytes };
}
