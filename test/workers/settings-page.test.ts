import { expect, test } from "vitest";
import { settingsProblem } from "../../auth/settings-page.ts";
import { SettingsError } from "../../servers/shared/settings.ts";

test("settings that are wrong are a page for a browser and JSON for anything else", async () => {
  const failure = new SettingsError(["ACCESS_OIDC_CLIENT_ID is missing while IDENTITY is access-oidc.", "<b>: no."]);
  const seen = new Request("https://pincer.example.com/mcp", { headers: { Accept: "text/html,*/*" } });
  const page = settingsProblem(seen, failure);
  expect(page.status).toBe(500);
  const markup = await page.text();
  expect(markup).toContain("<li>ACCESS_OIDC_CLIENT_ID is missing while IDENTITY is access-oidc.</li>");
  expect(markup).not.toContain("<b>:");
  const plain = settingsProblem(new Request("https://pincer.example.com/mcp"), failure);
  expect(plain.status).toBe(500);
  expect(await plain.json()).toEqual({ error: failure.message });
});
