import * as z from "zod";
import { isSafeRedirect } from "./redirect-address.ts";
import { commaSeparated, jsonText } from "./setting-kinds.ts";

const SAFE = "give https:// addresses, or an app's own scheme, without wildcard, fragment or user name";

const redirectAddress = z.string().refine(isSafeRedirect, SAFE);

/** `REDIRECT_URIS`: addresses, comma-separated; one that ends in `/` stands for all that is below it. */
export const redirectUris = commaSeparated.pipe(z.array(redirectAddress));

const clientId = z.string().regex(/^[\w.-]{1,64}$/, "give ids of letters, digits, dots, dashes and underscores");

const preregisteredClient = z.strictObject({
  name: z.string().trim().min(1).max(100),
  redirect_uris: z.array(redirectAddress).min(1).max(20),
  /** SHA-256 of the secret, hex; a public client, which has none, leaves it out. */
  secret_sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, "give the secret's SHA-256 as 64 lower-case hex digits")
    .optional(),
});

/** A client that whoever runs the suite has registered by hand. */
export type PreregisteredClient = Readonly<z.output<typeof preregisteredClient>>;

/** `PREREGISTERED_CLIENTS`: JSON by client id. */
export const preregisteredClients = jsonText(
  '{"my-client": {"name": "My client", "redirect_uris": ["https://…"]}}',
).pipe(z.record(clientId, preregisteredClient));
