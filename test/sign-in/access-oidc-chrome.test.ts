import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { serve } from "../egress/loopback.ts";
import { authorizeUrl, exchange, registerClient, startAccessSuite } from "../support/access-sign-in.ts";
import { startChrome } from "../support/chrome.ts";

test("in Chrome a person signs in at Access, consents, and is back at the client", async () => {
  await using started = await startAccessSuite();
  const { suite, access } = started;
  access.people.set("ann", []);
  const codes: string[] = [];
  await using callback = await serve((request, response) => {
    const code = new URL(request.url ?? "/", "http://localhost").searchParams.get("code");
    if (code !== null) codes.push(code);
    response.end("You may close this window.");
  });
  const client = await registerClient(suite, `http://localhost:${callback.port}/callback`);
  await using chrome = await startChrome();
  const shown = await chrome.page.open(authorizeUrl(suite, client).href);
  expect(shown).toContain("Allow “Test client” to use Pincer for you?");
  expect(shown).toContain("ann@example.com");
  await chrome.page.evaluate(`document.querySelector("button.primary").click() ?? ""`);
  for (const deadline = Date.now() + 20_000; codes.length === 0 && Date.now() < deadline; await pause(50));
  const { tokens } = await exchange(suite, client, codes[0] ?? "");
  expect(tokens?.expires_in).toBe(600);
});
