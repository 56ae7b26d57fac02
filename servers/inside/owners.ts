import type { Caller } from "../../auth/caller.ts";
import { type Standing, clientIdOfSandbox } from "../../auth/inside.ts";
import { nameOfSandbox, personOfSandbox } from "../sandbox/driver.ts";

/** An isolate's: what those may do whose sandboxes asked a moment ago, by their ids. */
export type KnownOwners = Map<string, { readonly atMs: number; readonly standing: Standing | undefined }>;

/** Whoever is let in no longer is not in their sandbox either, so long after. */
const KNOWN_MS = 2_000;
const MAX_KNOWN = 2_000;

/** Whom a sandbox calls as; nothing where its owner may have none any more. Rejects where nobody can say. */
export async function callerInside(
  sandboxId: string,
  known: KnownOwners,
  standingOf: (userId: string) => Promise<Standing | undefined>,
): Promise<Caller | undefined> {
  const userId = personOfSandbox(sandboxId);
  const standing = await recall(userId, known, standingOf);
  return standing && { userId, ...standing, clientId: clientIdOfSandbox(nameOfSandbox(sandboxId)) };
}

async function recall(
  userId: string,
  known: KnownOwners,
  standingOf: (userId: string) => Promise<Standing | undefined>,
): Promise<Standing | undefined> {
  const atMs = Date.now();
  const last = known.get(userId);
  if (last !== undefined && atMs - last.atMs < KNOWN_MS) return last.standing;
  const standing = await standingOf(userId);
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(userId, { atMs, standing });
  return standing;
}
