import { expect, test } from "vitest";
import { freePort } from "../egress/loopback.ts";
import { allow, openConsentAt, startAccessSuite } from "../support/access-sign-in.ts";
import { CookieBrowser } from "../support/cookie-browser.ts";
import { checksOf, complaintsOf, runAuthorization } from "./runner.ts";

const CLIENT_ID = "conformance";

test("the authorization server's metadata and the whole code grant are as the runner wants them", async () => {
  // Any port will do for an app on this machine.
  const client = { name: "Conformance", redirect_uris: ["http://127.0.0.1/callback"] };
  const settings = { PREREGISTERED_CLIENTS: JSON.stringify({ [CLIENT_ID]: client }) };
  await using started = await startAccessSuite(settings);
  const { suite, access } = started;
  access.people.set("ann", []);
  const found = await runAuthorization({
    issuer: suite.url,
    clientId: CLIENT_ID,
    resource: `${suite.url}/mcp`,
    port: await freePort(),
    onAuthorizationUrl: async (url) => {
      const browser = new CookieBrowser();
      const { text } = await openConsentAt(suite, browser, url);
      const allowed = await allow(suite, browser, text);
      await fetch(allowed.headers.get("Location") ?? "");
    },
  });
  for (const scenario of ["authorization-server-metadata-endpoint", "authorization-code-grant"]) {
    const checks = checksOf(found, scenario);
    expect(checks.map(({ status }) => status)).toContain("SUCCESS");
    expect(complaintsOf(checks)).toEqual([]);
  }
});
