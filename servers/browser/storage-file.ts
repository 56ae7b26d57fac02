import type { Scope } from "../../auth/scopes.ts";
import type { ToolContext } from "../core/tool.ts";
import { ToolError } from "../shared/errors.ts";
import {
  MAX_STATE_BYTES,
  type StorageState,
  formatStorageState,
  parseStorageState,
  storageTooLarge,
} from "./chrome/storage-state.ts";

/** What a browser kept, from the caller's files. Rejects as the file store does, and as the state's parser. */
export async function readStorageFile({ caller, files }: ToolContext, path: string): Promise<StorageState> {
  checkScope(caller.scopes, "files:read");
  const { body, sizeBytes } = await files.read(path);
  if (sizeBytes <= MAX_STATE_BYTES) return parseStorageState(await new Response(body).text());
  await body.cancel();
  throw storageTooLarge();
}

export async function writeStorageFile(
  { caller, files }: ToolContext,
  path: string,
  state: StorageState,
): Promise<void> {
  checkScope(caller.scopes, "files:write");
  await files.write(path, formatStorageState(state), { mimeType: "application/json" });
}

function checkScope(scopes: readonly Scope[], scope: Scope): void {
  if (scopes.includes(scope)) return;
  throw new ToolError("forbidden", `That file takes the permission ${scope}; sign in again and tick it.`);
}
