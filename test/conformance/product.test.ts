import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sharedSuite } from "../support/suite.ts";
import { type Revision, complaintsOf, runScenario } from "./runner.ts";
import { type TokenProxy, startTokenProxy } from "./token-proxy.ts";

/** The scenarios that need no tool, prompt or resource of the runner's own. */
const FIXTURE_FREE: Readonly<Record<Revision, Readonly<Record<string, string>>>> = {
  "2026-07-28": {
    "tools-list": "tools are listed, well named and in the same order each time",
    "http-header-validation": "headers that contradict the body are refused",
    "dns-rebinding-protection": "another host's name is refused, ours is served",
    "sep-2164-resource-not-found": "a file that does not exist is an error that names it",
    "server-sse-multiple-streams": "several streams are served at once",
    "input-required-result-unsupported-methods": "lists never ask for input",
  },
  "2025-11-25": {
    "server-initialize": "a client shakes hands",
    ping: "a ping is answered",
    "tools-list": "tools are listed and well named",
    "resources-list": "resources are listed",
    "dns-rebinding-protection": "another host's name is refused, ours is served",
  },
};

/** Checks of `server-stateless` that call tools of the runner's own. */
const NEEDS_FIXTURE_TOOLS = [
  "sep-2575-server-rejects-undeclared-capability",
  "sep-2575-missing-capability-http-400",
  "sep-2575-http-server-no-independent-requests-on-stream",
  "sep-2575-server-no-log-without-loglevel",
];

const suite = sharedSuite();
let proxy: TokenProxy | undefined;

beforeAll(async () => {
  proxy = await startTokenProxy(new URL("/mcp", suite.url), await suite.token());
});

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
});

async function check(scenario: string, revision: Revision) {
  if (proxy === undefined) throw new Error("The proxy has not started.");
  return await runScenario(proxy.mcpUrl, scenario, revision);
}

describe.for(["2026-07-28", "2025-11-25"] as const)("revision %s on the product", (revision) => {
  test.for(Object.entries(FIXTURE_FREE[revision]))("%s: %s", async ([scenario]) => {
    const checks = await check(scenario, revision);
    expect(checks.map(({ status }) => status)).toContain("SUCCESS");
    expect(complaintsOf(checks)).toEqual([]);
  });
});

test("server-stateless: each request to the product stands alone, and says its version and capabilities", async () => {
  const checks = await check("server-stateless", "2026-07-28");
  const own = checks.filter(({ id }) => !NEEDS_FIXTURE_TOOLS.includes(id));
  expect(own.filter(({ status }) => status === "SUCCESS").length).toBeGreaterThanOrEqual(20);
  expect(complaintsOf(own)).toEqual([]);
});

test("caching: lists and files of the product say how long they may be kept", async () => {
  const checks = await check("caching", "2026-07-28");
  // Pincer has no prompts.
  const own = checks.filter(({ id }) => id !== "sep-2549-prompts-list-caching-hints");
  expect(own.map(({ status }) => status)).toContain("SUCCESS");
  expect(complaintsOf(own)).toEqual([]);
});
