import type { FileInfo, FileStore, SizedStream } from "../files/store.ts";
import { ToolError } from "../shared/errors.ts";
import type { Attachment } from "./tool.ts";

/** How many characters of one text a result carries unless the caller asks for more. */
export const MAX_TEXT_CHARS = 10_000;

export interface Artifact {
  /** A file name with its ending; it is made unique. */
  readonly name: string;
  readonly mimeType: string;
  readonly content: Uint8Array | string | SizedStream;
  /** What made it: tool, command, page. Short values. */
  readonly madeBy: Readonly<Record<string, string>>;
}

/** Keeps what tools make under `artifacts/<date>/` in the caller's files. */
export interface Artifacts {
  keep(artifact: Artifact): Promise<FileInfo>;
  /** A link to it. Where it cannot be kept a note says so: the result that it belongs to is worth more. */
  attach(artifact: Artifact): Promise<Attachment>;
}

export function createArtifacts(files: FileStore, now: () => Date): Artifacts {
  const keep: Artifacts["keep"] = async ({ name, mimeType, content, madeBy }) => {
    const at = now().toISOString();
    const unique = `${at.slice(11, 19).replaceAll(":", "")}-${crypto.randomUUID().slice(0, 8)}`;
    return await files.write(`artifacts/${at.slice(0, 10)}/${unique}-${name}`, content, { mimeType, madeBy });
  };
  return {
    keep,
    attach: async (artifact) => {
      try {
        const { path, mimeType, sizeBytes } = await keep(artifact);
        return { type: "link", path, mimeType, sizeBytes };
      } catch (failure) {
        if (!(failure instanceof ToolError)) throw failure;
        return { type: "note", text: `${artifact.name} is not kept in your files. ${failure.message}` };
      }
    },
  };
}

/** `text` within `maxChars`: whole, or head and tail around a line that says how much was left out. */
export function cutText(text: string, maxChars: number): { text: string; isCut: boolean } {
  if (text.length <= maxChars) return { text, isCut: false };
  const note = `\n… ${text.length - maxChars} characters left out …\n`;
  const headChars = Math.floor(maxChars * 0.6);
  const tailChars = maxChars - headChars;
  const head = text.slice(0, headChars).toWellFormed();
  const tail = text.slice(-tailChars).toWellFormed();
  return { text: `${head}${note}${tail}`, isCut: true };
}
