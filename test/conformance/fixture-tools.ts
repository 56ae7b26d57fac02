import {
  type CallToolResult,
  type ContentBlock,
  type InputRequiredResult,
  MissingRequiredClientCapabilityError,
  type ServerContext,
  type Tool,
} from "@modelcontextprotocol/server";
import { PNG_BASE64, WAV_BASE64 } from "./fixture-content.ts";

export interface FixtureTool {
  readonly name: string;
  readonly description: string;
  readonly inputSchema?: Tool["inputSchema"];
  readonly call: (context: ServerContext) => Promise<CallToolResult | InputRequiredResult>;
}

export const TOOLS: readonly FixtureTool[] = [
  answering("test_simple_text", [{ type: "text", text: "This is a simple text response for testing." }]),
  answering("test_image_content", [{ type: "image", data: PNG_BASE64, mimeType: "image/png" }]),
  answering("test_audio_content", [{ type: "audio", data: WAV_BASE64, mimeType: "audio/wav" }]),
  answering("test_embedded_resource", [
    {
      type: "resource",
      resource: {
        uri: "test://embedded-resource",
        mimeType: "text/plain",
        text: "This is an embedded resource content.",
      },
    },
  ]),
  answering("test_multiple_content_types", [
    { type: "text", text: "Multiple content types test:" },
    { type: "image", data: PNG_BASE64, mimeType: "image/png" },
    {
      type: "resource",
      resource: {
        uri: "test://mixed-content-resource",
        mimeType: "application/json",
        text: JSON.stringify({ test: "data", value: 123 }),
      },
    },
  ]),
  answering("test_streaming_elicitation", [{ type: "text", text: "No request was sent on the stream." }]),
  {
    name: "test_error_handling",
    description: "Always fails",
    call: async () => {
      throw new Error("This tool intentionally returns an error for testing");
    },
  },
  {
    name: "test_tool_with_progress",
    description: "Reports progress three times",
    call: async ({ mcpReq }) => {
      const progressToken = mcpReq._meta?.progressToken;
      for (const progress of [0, 50, 100]) {
        if (progress > 0) await pause(50);
        if (progressToken === undefined) continue;
        await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress, total: 100 } });
      }
      return { content: [{ type: "text", text: "Progress was reported." }] };
    },
  },
  logging("test_tool_with_logging"),
  logging("test_logging_tool"),
  {
    name: "test_missing_capability",
    description: "Needs a client that offers sampling",
    call: async () => {
      throw new MissingRequiredClientCapabilityError({ requiredCapabilities: { sampling: {} } });
    },
  },
];

function answering(name: string, content: ContentBlock[]): FixtureTool {
  return {
    name,
    description: `Answers with ${content.map(({ type }) => type).join(", ")}`,
    call: async () => ({ content }),
  };
}

function logging(name: string): FixtureTool {
  return {
    name,
    description: "Sends three log messages",
    call: async ({ mcpReq }) => {
      await mcpReq.log("info", "Tool execution started");
      await pause(50);
      await mcpReq.log("info", "Tool processing data");
      await pause(50);
      await mcpReq.log("info", "Tool execution completed");
      return { content: [{ type: "text", text: "Three messages were logged." }] };
    },
  };
}

async function pause(milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
}
