import { createHash } from "node:crypto";
import type { FileInfo, MountedFiles, WriteOptions } from "../../servers/files/store.ts";
import { ToolError } from "../../servers/shared/errors.ts";
import { normalizePath } from "../../servers/shared/paths.ts";

/**
 * A caller's files in a map, with R2's rules that the mount rests on: etags that are the content's MD5, conditions,
 * pages by name. The end-to-end tests run the same mount on R2 itself.
 */
export function mapFiles(): MountedFiles & { readonly paths: () => string[]; lists: number; roomBytes: number } {
  const stored = new Map<string, { readonly info: FileInfo; readonly bytes: Uint8Array<ArrayBuffer> }>();
  const find = (path: string) => {
    const found = stored.get(normalizePath(path));
    if (found === undefined) throw new ToolError("not_found", `There is no file ${path}.`);
    return found;
  };
  const allows = (now: FileInfo | undefined, { ifMatch, createOnly }: WriteOptions): boolean =>
    (ifMatch === undefined || now?.etag === ifMatch) && !(createOnly === true && now !== undefined);

  const store = {
    prefix: "users/test/files/",
    lists: 0,
    /** A write of more than this is refused, as one over the quota is. */
    roomBytes: Infinity,
    paths: () => [...stored.keys()].toSorted(),
    list: async ({ limit, cursor = "" }: { readonly limit: number; readonly cursor?: string }) => {
      store.lists += 1;
      const rest = store.paths().filter((path) => path > cursor);
      const files = rest.slice(0, limit).map((path) => find(path).info);
      return { folders: [], files, ...(rest.length > limit && { cursor: rest[limit - 1] ?? "" }) };
    },
    stat: async (path: string) => find(path).info,
    read: async (path: string) => {
      const { info, bytes } = find(path);
      return { ...info, body: new Blob([bytes]).stream() };
    },
    write: async (path: string, content: Parameters<MountedFiles["write"]>[1], options: WriteOptions = {}) => {
      const name = normalizePath(path);
      const body = typeof content === "object" && "body" in content ? content.body : content;
      const bytes = new Uint8Array(await new Response(body).arrayBuffer());
      if (typeof content === "object" && "sizeBytes" in content && bytes.length !== content.sizeBytes) {
        throw new TypeError(`The stream had ${bytes.length} bytes instead of ${content.sizeBytes}.`);
      }
      if (bytes.length > store.roomBytes) throw new ToolError("limit_reached", `There is no room for ${path}.`);
      if (!allows(stored.get(name)?.info, options))
        throw new ToolError("conflict", `${path} is not as you expected it.`);
      const etag = createHash("md5").update(bytes).digest("hex");
      const info = { path: name, sizeBytes: bytes.length, mimeType: "text/plain", modifiedAt: new Date(), etag };
      stored.set(name, { info, bytes });
      return info;
    },
    remove: async (path: string, { ifMatch }: { readonly ifMatch?: string } = {}) => {
      const name = normalizePath(path);
      if (ifMatch === undefined || stored.get(name)?.info.etag === ifMatch) stored.delete(name);
    },
  };
  return store;
}
