import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { startAccessSuite } from "../support/access-sign-in.ts";
import { startChrome } from "../support/chrome.ts";

test("an admin sees on a phone what of a deployed suite works, and what to do about the rest", async () => {
  await using started = await startAccessSuite({
    ADMIN_GROUPS: "it",
    MODEL_BASE_URL: "http://127.0.0.1:9/v1",
    MODEL_API_KEY: "sk-the-key-of-the-model",
  });
  const { suite, access } = started;
  access.people.set("ann", ["it"]);
  await using chrome = await startChrome();
  const { page } = chrome;
  await page.open(`${suite.url}/admin/health`);
  await page.evaluate(`document.querySelector("button.primary").click() ?? ""`);
  const stateOf = async (name: string): Promise<unknown> =>
    await page.evaluate(`[...document.querySelectorAll("main tr")]
      .find((row) => row.cells[0].textContent.trim() === ${JSON.stringify(name)})?.cells[1].textContent.trim() ?? null`);
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; await pause(100)) {
    if ((await stateOf("R2 bucket FILES")) !== null) break;
  }
  const states: Record<string, unknown> = {};
  const names = ["R2 bucket FILES", "Durable Object Directory", "Sign-in (access-oidc)", "Clock"];
  for (const name of [...names, "Sandbox driver", "Model endpoint", "Browser", "Signing secret"]) {
    states[name] = await stateOf(name);
  }
  // It has no runtime, no model and no Chrome, and a secret that anybody would guess.
  expect(states).toEqual({
    ...Object.fromEntries(names.map((name) => [name, "OK"])),
    "Sandbox driver": "Broken",
    "Model endpoint": "Broken",
    Browser: "Warning",
    "Signing secret": "Warning",
  });
  const text = String(await page.evaluate("document.querySelector('main').innerText"));
  expect(text).toContain("The model endpoint cannot be reached, so no sub-agent works.");
  expect(text).toContain("Check the address in MODEL_BASE_URL");
  expect(text).not.toContain("sk-the-key");
  expect(await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")).toBe(true);
});
