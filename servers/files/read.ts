import * as z from "zod";
import { MAX_TEXT_CHARS, cutText } from "../core/artifacts.ts";
import { type Answer, defineTool } from "../core/tool.ts";
import { ToolError } from "../shared/errors.ts";
import type { FileBody } from "./store.ts";

const MAX_IMAGE_BYTES = 5 * 1024 * 1024;
const MAX_SCANNED_BYTES = 4 * 1024 * 1024;

export const filesList = defineTool({
  name: "files_list",
  title: "List files",
  description: "Lists a folder of your durable workspace, with sizes and times.",
  input: z.strictObject({
    folder: z.string().max(900).default("").describe("Folder; empty is the top"),
    recursive: z.boolean().default(false).describe("Everything below it too"),
    cursor: z.string().max(2_000).optional().describe("From the page before"),
    limit: z.int().min(1).max(1_000).default(200).describe("Files a page"),
  }),
  output: z.object({
    folders: z.array(z.string()),
    files: z.array(
      z.object({ path: z.string(), size_bytes: z.number(), mime_type: z.string(), modified_at: z.string() }),
    ),
    cursor: z.string().optional(),
  }),
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  scopes: ["files:read"],
  handler: async ({ folder, recursive, cursor, limit }, { files }) => {
    const page = await files.list({ folder, recursive, limit, ...(cursor === undefined ? {} : { cursor }) });
    return {
      output: {
        folders: [...page.folders],
        files: page.files.map((file) => ({
          path: file.path,
          size_bytes: file.sizeBytes,
          mime_type: file.mimeType,
          modified_at: file.modifiedAt.toISOString(),
        })),
        ...(page.cursor === undefined ? {} : { cursor: page.cursor }),
      },
    };
  },
});

const readOutput = z.object({ text: z.string() });

export const filesRead = defineTool({
  name: "files_read",
  title: "Read a file",
  description: "Reads a text file, or shows an image, from your durable workspace.",
  input: z.strictObject({
    path: z.string().min(1).max(1_000).describe("Path in the workspace"),
    max_chars: z.int().min(100).max(200_000).default(MAX_TEXT_CHARS).describe("Longer text keeps head and tail"),
  }),
  output: readOutput,
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  scopes: ["files:read"],
  handler: async ({ path, max_chars: maxChars }, { files }) => {
    const file = await files.read(path);
    if (isShownAsImage(file)) return await showImage(file);
    return await showText(file, maxChars);
  },
  text: ({ text }) => text,
});

/** The image types that model APIs take. */
function isShownAsImage(file: FileBody): boolean {
  return /^image\/(png|jpeg|gif|webp)$/.test(file.mimeType) && file.sizeBytes <= MAX_IMAGE_BYTES;
}

async function showImage(file: FileBody): Promise<Answer<z.input<typeof readOutput>>> {
  const bytes = new Uint8Array(await new Response(file.body).arrayBuffer());
  return {
    output: { text: `${file.path}: ${file.mimeType}, ${file.sizeBytes} bytes` },
    attachments: [{ type: "image", base64: bytes.toBase64(), mimeType: file.mimeType }],
  };
}

async function showText(file: FileBody, maxChars: number): Promise<Answer<z.input<typeof readOutput>>> {
  if (file.sizeBytes > MAX_SCANNED_BYTES) {
    await file.body.cancel();
    throw new ToolError(
      "too_large",
      `${file.path} has ${file.sizeBytes} bytes; read parts of it with sandbox_exec under /workspace/files, or share it with files_share.`,
    );
  }
  const bytes = new Uint8Array(await new Response(file.body).arrayBuffer());
  if (bytes.includes(0)) {
    return {
      output: {
        text: `${file.path} is binary: ${file.mimeType}, ${file.sizeBytes} bytes. Open it with interpreter_run under /workspace/files, or share it with files_share.`,
      },
    };
  }
  return { output: { text: cutText(new TextDecoder().decode(bytes), maxChars).text } };
}
