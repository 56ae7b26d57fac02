import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { refresh, signIn, startAccessSuite } from "../support/access-sign-in.ts";
import { type Chrome, startChrome } from "../support/chrome.ts";

/** Presses what the selector finds, and waits for the page that comes of it. */
async function press({ page }: Chrome, selector: string, awaited: string): Promise<string> {
  await page.evaluate(`document.querySelector(${JSON.stringify(selector)}).click() ?? ""`);
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; await pause(50)) {
    const text = String(await page.evaluate(`document.body?.innerText ?? ""`));
    if (text.includes(awaited)) return text;
  }
  throw new Error(`The page never said ${awaited}.`);
}

test("on a phone a person signs in at Access, makes a token and revokes an app", async () => {
  await using started = await startAccessSuite();
  const { suite, access } = started;
  access.people.set("ann", []);
  const { client, tokens } = await signIn(suite);
  await using chrome = await startChrome();
  const { page } = chrome;
  expect(await page.open(`${suite.url}/account/apps`)).toContain("Cloudflare Access is asked who you are");
  const own = await press(chrome, "button.primary", "Apps and tokens");
  for (const words of ["Signed in as ann@example.com", "Test client", "Read your files"]) expect(own).toContain(words);
  expect(await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")).toBe(true);
  expect(await page.evaluate(`document.querySelector("form[action='/account/revoke'] button").textContent`)).toBe(
    "Revoke Test client",
  );
  await page.evaluate(`document.querySelector("#name").value = "ci"`);
  await page.evaluate(`document.querySelector("input[value='files:read']").checked = true`);
  const made = await press(chrome, "form[action='/account/tokens'] button", "shown this once");
  const token = /pincer_\w+/.exec(made)?.[0] ?? "";
  const call = await fetch(`${suite.url}/mcp`, { headers: { Authorization: `Bearer ${token}` } });
  expect(call.status).not.toBe(401);
  const revoked = await press(chrome, "form[action='/account/revoke'] button", "Revoked.");
  expect(revoked).not.toContain("Test client");
  expect((await refresh(suite, client, tokens)).error).toBe("invalid_grant");
  expect(suite.log()).not.toContain(token);
  await press(chrome, "form[action='/account/sign-out'] button", "Sign in to Pincer");
});
