import { expect, test } from "vitest";
import { freePort } from "../egress/loopback.ts";
import { allow } from "../support/consent.ts";
import { startSuite } from "../support/suite.ts";
import { checksOf, complaintsOf, runAuthorization } from "./runner.ts";

const CLIENT_ID = "conformance";

test("the authorization server's metadata and the whole code grant are as the runner wants them", async () => {
  // Any port will do for an app on this machine.
  const client = { name: "Conformance", redirect_uris: ["http://127.0.0.1/callback"] };
  await using suite = await startSuite([], { PREREGISTERED_CLIENTS: JSON.stringify({ [CLIENT_ID]: client }) });
  const code = /\b([A-Z0-9]{4}-[A-Z0-9]{4})\b/.exec(suite.output())?.[1] ?? "";
  const found = await runAuthorization({
    issuer: suite.url,
    clientId: CLIENT_ID,
    resource: `${suite.url}/mcp`,
    port: await freePort(),
    onAuthorizationUrl: async (url) => {
      await fetch(await allow(url, { code }));
    },
  });
  for (const scenario of ["authorization-server-metadata-endpoint", "authorization-code-grant"]) {
    const checks = checksOf(found, scenario);
    expect(checks.map(({ status }) => status)).toContain("SUCCESS");
    expect(complaintsOf(checks)).toEqual([]);
  }
});
