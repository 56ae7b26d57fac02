import { expect, test } from "vitest";
import { makeSettings, takeUserSettings } from "../../container/local/launch/settings.ts";

test.each([
  "MODEL_DEFAULT",
  "AI_GATEWAY_ID",
  "DELEGATE_DAILY_USD",
  "FILES_QUOTA_MB",
  "ARTIFACTS_KEEP_DAYS",
  "SNAPSHOT_AFTER",
])("%s of the environment reaches the suite, and nothing else that is started", async (name) => {
  const environment = { [name]: "1", PATH: "/bin" };
  const taken = takeUserSettings(environment);
  const facts = { url: "http://localhost:1", allowedHosts: [], signingSecret: "s".repeat(32) };
  expect(await makeSettings({ ...facts, environment: taken })).toMatchObject({ [name]: "1" });
  expect(environment).toEqual({ PATH: "/bin" });
});
