import { reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import { SecretWatch } from "../support/secret-watch.ts";
import {
  callerOf,
  codeOf,
  exchange,
  openConsent,
  press,
  refresh,
  register,
  revoke,
  startSuite,
  tokenAnswer,
} from "./auth-suite.ts";

afterEach(async () => {
  await reset();
});

test("a sign-in that goes wrong at each step tells the log so, and none of what was sent or handed out", async () => {
  const suite = startSuite({ bindings: env });
  const confidential = await register(suite, { token_endpoint_auth_method: "client_secret_post" });
  await exchange(suite, confidential, "a-code-that-nobody-made", { client_secret: "a-secret-that-is-wrong" });
  const client = await register(suite);
  await press(suite, await openConsent(suite, client), { code: "WRNG-CODE" });
  const code = codeOf(await press(suite, await openConsent(suite, client)));
  await exchange(suite, client, code, { code_verifier: "v".repeat(64) });
  const tokens = tokenAnswer.parse(await (await exchange(suite, client, code)).json());
  const renewed = tokenAnswer.parse(await (await refresh(suite, client, tokens.refresh_token)).json());
  await callerOf(suite, "/mcp", renewed.access_token);
  await callerOf(suite, "/mcp", `${renewed.access_token}0`);
  await refresh(suite, client, renewed.refresh_token);
  await refresh(suite, client, tokens.refresh_token);
  await exchange(suite, client, code);
  await revoke(suite, client, renewed.access_token);
  const logged = suite.logged.join("\n");
  expect(logged).toContain("wrong sign-in code");
  expect(logged).toContain("oauth refused");
  // The suite itself searches its log for all that came and went (auth-suite.ts); these it must have known.
  for (const secret of [code, tokens.access_token, renewed.refresh_token, client.verifier]) {
    expect(suite.watch.secrets).toContain(secret);
    expect(logged).not.toContain(secret);
  }
});

test("a secret in a log is found, and not repeated", async () => {
  const watch = new SecretWatch();
  const headers = { Authorization: "Bearer the-token-of-ann", Cookie: "a=the-cookie-of-ann; b=short" };
  watch.seeRequest(new Request("http://localhost/?code=the-code-of-ann", { headers }));
  await watch.seeAnswer(Response.json({ access_token: "the-token-of-bob", scope: "files:read browser:read" }));
  for (const secret of ["the-token-of-ann", "the-cookie-of-ann", "the-code-of-ann", "the-token-of-bob"]) {
    expect(() => watch.check(`it was ${secret}.`)).toThrow("it was [the secret].");
  }
  watch.check("files:read browser:read, short");
});
