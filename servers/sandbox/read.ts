import * as z from "zod";
import { MAX_TEXT_CHARS, cutText } from "../core/artifacts.ts";
import { type Attachment, defineTool, type ToolContext } from "../core/tool.ts";
import { ToolError } from "../shared/errors.ts";
import { handleName } from "../shared/handles.ts";
import { showLines } from "../shared/lines.ts";
import { decodeText, imageTypeOf } from "../shared/text.ts";
import { runRipgrep } from "./ripgrep.ts";
import { drawTree } from "./tree.ts";

const MAX_BYTES = 16 * 1024 * 1024;
const DEFAULT_LINES = 2_000;
const MAX_IMAGE_BYTES = 5 * 1024 * 1024;
/** Some 40,000 names; of more, head and tail are shown. */
const MAX_LISTED_CHARS = 2_000_000;

export const sandboxRead = defineTool({
  name: "sandbox_read",
  title: "Read a sandbox file",
  description:
    "Reads lines of a sandbox file, shows an image, or lists a folder as a tree without what .gitignore names.",
  input: z.strictObject({
    path: z.string().min(1).max(4_000).describe("From /workspace"),
    from: z.int().min(1).optional().describe("First line"),
    lines: z.int().min(1).optional().describe("How many"),
    sandbox: handleName.describe("Which sandbox"),
  }),
  output: z.object({ text: z.string() }),
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  scopes: ["sandbox:exec"],
  handler: async ({ path, from = 1, lines = DEFAULT_LINES, sandbox }, context) => {
    const bytes = await context
      .sandbox(sandbox)
      .readFile(path, MAX_BYTES)
      .catch(async (cause: unknown) => await listFolder(path, sandbox, context, cause));
    if (typeof bytes === "string") return { output: { text: bytes } };
    const mimeType = imageTypeOf(bytes);
    if (mimeType !== undefined && bytes.length <= MAX_IMAGE_BYTES) {
      const image = { type: "image", base64: bytes.toBase64(), mimeType } as const;
      return { output: { text: `${path}: ${mimeType}, ${bytes.length} bytes` }, attachments: [image] };
    }
    const decoded = decodeText(bytes);
    if (decoded === undefined) {
      return {
        output: { text: `${path} is binary, ${bytes.length} bytes; a copy of it is linked.` },
        attachments: [await keepCopy(path, bytes, context)],
      };
    }
    const shown = await showLines([decoded.text], { from, count: lines, maxChars: MAX_TEXT_CHARS });
    const encoding = decoded.encoding === "utf-8" ? "" : `, read as ${decoded.encoding}`;
    return { output: { text: `${path}: ${shown.summary}${encoding}\n${shown.text}` } };
  },
  text: ({ text }) => text,
});

/** A folder as a tree, where that is why the path could not be read. */
async function listFolder(path: string, sandbox: string, context: ToolContext, cause: unknown): Promise<string> {
  if (!(cause instanceof ToolError) || cause.code !== "invalid_input") throw cause;
  const run = { flags: "--files", cwd: path, maxChars: MAX_LISTED_CHARS };
  const { text, isCut } = await runRipgrep(run, sandbox, context).catch((error: unknown) => {
    throw error instanceof ToolError && error.code === "invalid_input" ? cause : error;
  });
  if (text === "") return `${path}: no files`;
  const tree = cutText(drawTree(text.split("\n"), MAX_TEXT_CHARS), MAX_TEXT_CHARS).text;
  return `${path}:\n${tree}${isCut ? "\nThere are more files than were counted; read one of its folders." : ""}`;
}

async function keepCopy(path: string, bytes: Uint8Array, { artifacts }: ToolContext): Promise<Attachment> {
  return await artifacts.attach({
    name:
      path
        .split("/")
        .at(-1)
        ?.replaceAll(/[^\w.-]/g, "_") ?? "file",
    mimeType: "application/octet-stream",
    content: bytes,
    madeBy: { tool: "sandbox_read" },
  });
}
