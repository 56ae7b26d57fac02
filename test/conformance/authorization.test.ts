import { expect, test } from "vitest";
import { freePort } from "../egress/loopback.ts";
import { allow, openConsentAt, startAccessSuite } from "../support/access-sign-in.ts";
import { allow as allowWithCode } from "../support/consent.ts";
import { CookieBrowser } from "../support/cookie-browser.ts";
import { startSuite } from "../support/suite.ts";
import { checksOf, complaintsOf, runAuthorization } from "./runner.ts";

const CLIENT_ID = "conformance";
// Any port will do for an app on this machine.
const CLIENT = { name: "Conformance", redirect_uris: ["http://127.0.0.1/callback"] };
const SETTINGS = { PREREGISTERED_CLIENTS: JSON.stringify({ [CLIENT_ID]: CLIENT }) };

/** What the runner has to say against an issuer whose consent page is answered as told. */
async function complaintsOn(issuer: string, onAuthorizationUrl: (url: URL) => Promise<void>): Promise<unknown[]> {
  const options = {
    issuer,
    clientId: CLIENT_ID,
    resource: `${issuer}/mcp`,
    port: await freePort(),
    onAuthorizationUrl,
  };
  const found = await runAuthorization(options);
  return ["authorization-server-metadata-endpoint", "authorization-code-grant"].flatMap((scenario) => {
    const checks = checksOf(found, scenario);
    expect(checks).not.toEqual([]);
    return complaintsOf(checks);
  });
}

test("a local suite's metadata and the whole code grant are as the runner wants them", async () => {
  await using suite = await startSuite([], SETTINGS);
  const code = /\b([A-Z0-9]{4}-[A-Z0-9]{4})\b/.exec(suite.output())?.[1] ?? "";
  const complaints = await complaintsOn(suite.url, async (url) => {
    await fetch(await allowWithCode(url, { code }));
  });
  expect(complaints).toEqual([]);
});

test("so they are where Access says who it is", async () => {
  await using started = await startAccessSuite(SETTINGS);
  const { suite, access } = started;
  access.people.set("ann", []);
  const complaints = await complaintsOn(suite.url, async (url) => {
    const browser = new CookieBrowser();
    const { text } = await openConsentAt(suite, browser, url);
    const allowed = await allow(suite, browser, text);
    await fetch(allowed.headers.get("Location") ?? "");
  });
  expect(complaints).toEqual([]);
});
