import * as z from "zod";
import type { Caller } from "./caller.ts";
import { sha256Hex } from "./secrets.ts";

/** Kept with each grant, encrypted: who gave it, so that the role is decided anew at each call. */
export const grantOwner = z.discriminatedUnion("identity", [
  z.object({ identity: z.literal("local") }),
  z.object({ identity: z.literal("access-edge"), email: z.string() }),
]);

type GrantOwner = z.output<typeof grantOwner>;

export interface Person {
  readonly userId: string;
  /** How the consent page names them. */
  readonly displayName: string;
  readonly owner: GrantOwner;
}

type Identified =
  | { readonly kind: "person"; readonly person: Person }
  /** `reason` is for the log; `message` is shown. */
  | { readonly kind: "refused"; readonly reason: string; readonly message: string };

type Proof =
  | { readonly kind: "proven" }
  | { readonly kind: "wrong-code" }
  | { readonly kind: "locked"; readonly retryAtMs: number };

/** Who signs people in. */
export interface Identity {
  /** How long a grant lives, in seconds, and whether each use renews it. */
  readonly grantLife: { readonly seconds: number; readonly isRenewed: boolean };
  readonly asksForCode: boolean;
  /** Whose browser the request comes from. */
  identify(request: Request): Promise<Identified>;
  /** Whether the code that came with the consent form proves it. */
  prove(person: Person, code: string): Promise<Proof>;
  /** The role that the giver of a grant has now; `undefined` where they are no longer let in. */
  roleOf(owner: unknown): Caller["role"] | undefined;
}

/** An opaque and stable `userId` for whom an issuer calls `subject`. */
export async function userIdOf(issuer: string, subject: string): Promise<string> {
  return (await sha256Hex(JSON.stringify([issuer, subject]))).slice(0, 32);
}
