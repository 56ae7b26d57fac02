import type { Attachment, ToolContext } from "../core/tool.ts";
import { ToolError } from "../shared/errors.ts";
import type { CallerFiles } from "./session.ts";

/** What one call takes from the caller's files, and what it has put there. */
export interface Exchange {
  readonly files: CallerFiles;
  /** Links to downloads, in the order in which they came. */
  readonly kept: Attachment[];
}

/** The page named the file: what says where it is kept stands among the page's words. */
export function withKept(content: string, kept: readonly Attachment[]): string {
  const lines = kept.flatMap((attachment) =>
    attachment.type === "link" ? [`download, kept as ${attachment.path}`] : [],
  );
  return [...lines, content].filter((line) => line !== "").join("\n");
}

/** Files go to a page where the caller may read them; a download is an artifact, as a picture is. */
export function exchangeFor(tool: string, { caller, files, artifacts }: ToolContext): Exchange {
  const kept: Attachment[] = [];
  return {
    kept,
    files: {
      read: async (path, maxBytes) => {
        if (!caller.scopes.includes("files:read")) {
          throw new ToolError("forbidden", "Uploading takes the permission files:read; sign in again and tick it.");
        }
        const { body, sizeBytes, mimeType } = await files.read(path);
        if (sizeBytes <= maxBytes) {
          return {
            name: path.slice(path.lastIndexOf("/") + 1),
            mimeType,
            content: new Uint8Array(await new Response(body).arrayBuffer()),
          };
        }
        await body.cancel();
        throw new ToolError(
          "too_large",
          `${path} is too large to be put into a page; give files of 20 MB at most, together.`,
        );
      },
      keep: async ({ name, mimeType, url, body, sizeBytes }) => {
        kept.push(
          await artifacts.attach({
            name,
            mimeType,
            content:
              sizeBytes === undefined ? new Uint8Array(await new Response(body).arrayBuffer()) : { body, sizeBytes },
            madeBy: { tool, page: url.slice(0, 256) },
          }),
        );
      },
    },
  };
}
