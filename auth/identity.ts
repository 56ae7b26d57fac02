import * as z from "zod";
import type { Caller } from "./caller.ts";
import { sha256Hex } from "./secrets.ts";

/** Kept with each grant, encrypted: who gave it, so that the role is decided anew at each call. */
export const grantOwner = z.discriminatedUnion("identity", [
  z.object({ identity: z.literal("local") }),
  z.object({ identity: z.literal("access-edge"), email: z.string(), groups: z.array(z.string()).default([]) }),
  z.object({ identity: z.literal("access-oidc"), session: z.string(), groups: z.array(z.string()) }),
]);

export type GrantOwner = z.output<typeof grantOwner>;

export interface Person {
  readonly userId: string;
  /** How pages name them. */
  readonly displayName: string;
  readonly owner: GrantOwner;
}

/** `reason` is for the log; `message` is shown. */
export interface Refused {
  readonly kind: "refused";
  readonly reason: string;
  readonly message: string;
  /** Nobody said no: Access cannot be asked. */
  readonly isForNow?: true;
}

type Identified =
  | { readonly kind: "person"; readonly person: Person }
  /** The upstream provider says who it is. */
  | { readonly kind: "upstream"; readonly upstream: Upstream }
  | Refused;

type Proof =
  | { readonly kind: "proven" }
  | { readonly kind: "wrong-code" }
  | { readonly kind: "locked"; readonly retryAtMs: number };

/** A person whom the upstream provider let in just now. */
export interface UpstreamArrival {
  readonly kind: "arrival";
  readonly person: Person;
  /** Has what later questions about the person need ready, for as long as they may look at a page. */
  readonly hold: () => Promise<void>;
}

/** The giver of a grant by now. */
export type GiverNow =
  | { readonly kind: "in"; readonly owner: GrantOwner; readonly role: Caller["role"] }
  /** Not let in any more, for good: the grant is to end. */
  | { readonly kind: "out" }
  /** The provider cannot be asked. */
  | { readonly kind: "unknown" };

/** An OpenID provider that signs people in elsewhere, and can be asked about them later. */
export interface Upstream {
  /** What to keep until the browser comes back, and where to send it. */
  begin(): Promise<{ readonly data: unknown; readonly urlFor: (state: string) => string }>;
  /** Who came back by `url`; `data` is what `begin` gave. */
  finish(url: URL, data: unknown): Promise<UpstreamArrival | Refused>;
  /** The giver of a grant, as the provider saw them at most so long ago. */
  giverNow(userId: string, sessionId: string, maxAgeMs: number): Promise<GiverNow>;
  /** Keeps what was held for as long as a grant may live; false where it is gone. */
  keep(userId: string, sessionId: string): Promise<boolean>;
  /** For good: nobody is vouched for by that session any more. */
  end(userId: string, sessionId: string): Promise<void>;
}

/** Who signs people in. */
export interface Identity {
  /** How long a grant lives, in seconds, whether each use renews it, and how long each access token of it lives. */
  readonly grantLife: { readonly seconds: number; readonly isRenewed: boolean; readonly tokenSeconds: number };
  /** How many days a personal token may live at most. */
  readonly maxTokenDays: number;
  readonly asksForCode: boolean;
  /** Where whom it has let in once is let in ever after, as the one person of a machine is. */
  readonly roleForGood?: Caller["role"];
  /** Whose browser the request comes from. */
  identify(request: Request): Promise<Identified>;
  /** Whether the code that came with the consent form proves it. */
  prove(person: Person, code: string): Promise<Proof>;
  /** The role that the giver of a grant has now; `undefined` where they are no longer let in. */
  roleOf(owner: unknown): Caller["role"] | undefined;
  /** Absent where nobody can be asked between two sign-ins. */
  readonly upstream?: Upstream;
}

/** An opaque and stable `userId` for whom an issuer calls `subject`. */
export async function userIdOf(issuer: string, subject: string): Promise<string> {
  return (await sha256Hex(JSON.stringify([issuer, subject]))).slice(0, 32);
}
