import { expect, test } from "vitest";
import { checkSettings, makeSettings, takeUserSettings } from "../../container/local/launch/settings.ts";

test.each([
  "MODEL_DEFAULT",
  "AI_GATEWAY_ID",
  "DELEGATE_DAILY_USD",
  "FILES_QUOTA_MB",
  "ARTIFACTS_KEEP_DAYS",
  "SNAPSHOT_AFTER",
  "INSIDE_WITHHOLDS",
])("%s of the environment reaches the suite, and nothing else that is started", async (name) => {
  const environment = { [name]: "1", PATH: "/bin" };
  const taken = takeUserSettings(environment);
  const facts = { url: "http://localhost:1", allowedHosts: [], signingSecret: "s".repeat(32) };
  expect(await makeSettings({ ...facts, environment: taken })).toMatchObject({ [name]: "1" });
  expect(environment).toEqual({ PATH: "/bin" });
});

test("a scope that there is none of stops the launcher before anything is started", async () => {
  const facts = { url: "http://localhost:1", allowedHosts: [], signingSecret: "s".repeat(32) };
  const check = async (withheld: string) => {
    const settings = await makeSettings({ ...facts, environment: { INSIDE_WITHHOLDS: withheld } });
    return checkSettings({ ...settings, LOCAL_RUNTIME_URL: facts.url }).INSIDE_WITHHOLDS;
  };
  expect(await check("files:write, delegate:run")).toEqual(["files:write", "delegate:run"]);
  await expect(check("files:wirte")).rejects.toThrow(
    /INSIDE_WITHHOLDS names what is no scope; scopes are .* Correct that in the environment or in \.dev\.vars\.$/,
  );
});
