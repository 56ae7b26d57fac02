import type { Role } from "../servers/shared/limits.ts";
import type { Scope } from "./scopes.ts";

/** The verified person and client behind a request. */
export interface Caller {
  /** Opaque and stable; safe in storage keys: `[a-z0-9]{32}`. */
  readonly userId: string;
  readonly role: Role;
  readonly scopes: readonly Scope[];
  /** The OAuth client, or `token:<id>` for a personal access token. */
  readonly clientId: string;
}
