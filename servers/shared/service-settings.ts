import * as z from "zod";
import { jsonText } from "./setting-kinds.ts";

const tokenId = z.string().regex(/^[\w.-]{1,200}$/, "give the client ids of service tokens, as Access shows them");

const serviceToken = z.strictObject({
  /** Who this is: tokens of one name are one principal, so that a token can be replaced. */
  name: z.string().trim().min(1).max(100),
  role: z.enum(["admin", "member", "reader"]),
  /** All that the role has, but for `admin`, where absent. */
  scopes: z.array(z.string()).min(1).optional(),
});

/** A service token of Access, and whom it stands for. */
export type ServiceToken = Readonly<z.output<typeof serviceToken>>;

/** `SERVICE_TOKENS`: JSON by client id. */
export const serviceTokens = jsonText('{"88bf3b….access": {"name": "CI", "role": "member"}}').pipe(
  z.record(tokenId, serviceToken),
);
