import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FixtureHost, startFixture } from "./fixture-host.ts";
import { type Checks, type Revision, checksOf, complaintsOf, requiredScenarios, runRequirements } from "./runner.ts";

/** Every server scenario that 2026-07-28 scores, and what it shows. */
const STATELESS: Readonly<Record<string, string>> = {
  "server-stateless": "each request stands alone, and says its version and capabilities",
  "completion-complete": "an argument of a prompt is completed",
  "tools-list": "tools are listed, well named and in the same order each time",
  "tools-call-simple-text": "a tool answers with a text",
  "tools-call-image": "a tool answers with an image",
  "tools-call-audio": "a tool answers with a sound",
  "tools-call-embedded-resource": "a tool answers with a resource",
  "tools-call-mixed-content": "a tool answers with several kinds of content",
  "tools-call-error": "a tool that fails answers with an error to read",
  "tools-call-with-progress": "a tool reports progress while it works",
  "server-sse-multiple-streams": "several streams are served at once",
  "resources-list": "resources are listed",
  "resources-read-text": "a text resource is read",
  "resources-read-binary": "a binary resource is read",
  "resources-templates-read": "a resource is read through a template",
  "sep-2164-resource-not-found": "a resource that does not exist is an error that names it",
  "prompts-list": "prompts are listed",
  "prompts-get-simple": "a prompt without arguments is read",
  "prompts-get-with-args": "a prompt takes arguments",
  "prompts-get-embedded-resource": "a prompt carries a resource",
  "prompts-get-with-image": "a prompt carries an image",
  "dns-rebinding-protection": "another host's name is refused, ours is served",
  caching: "lists and resources say how long they may be kept",
  "input-required-result-basic-elicitation": "a tool asks the person and goes on with the answer",
  "input-required-result-basic-sampling": "a tool asks the client's model and goes on with the answer",
  "input-required-result-basic-list-roots": "a tool asks for the roots and goes on with them",
  "input-required-result-request-state": "a tool gets its state back",
  "input-required-result-multiple-input-requests": "a tool asks several things at once",
  "input-required-result-multi-round": "a tool asks twice, one after the other",
  "input-required-result-missing-input-response": "a missing answer is asked for again",
  "input-required-result-non-tool-request": "a prompt asks too",
  "input-required-result-result-type": "a result that asks says so",
  "input-required-result-unsupported-methods": "lists never ask",
  "input-required-result-tampered-state": "a state that was tampered with is refused",
  "input-required-result-capability-check": "a client is asked only for what it can give",
  "input-required-result-ignore-extra-params": "answers to nothing are ignored",
  "input-required-result-validate-input": "an answer that is none is refused or asked for again",
};

/** What 2025-11-25 scores as well. */
const STATEFUL: Readonly<Record<string, string>> = {
  "server-initialize": "a client shakes hands",
  "logging-set-level": "a client sets the log level",
  ping: "a ping is answered",
  "completion-complete": "an argument of a prompt is completed",
  "tools-list": "tools are listed and well named",
  "tools-call-simple-text": "a tool answers with a text",
  "tools-call-image": "a tool answers with an image",
  "tools-call-audio": "a tool answers with a sound",
  "tools-call-embedded-resource": "a tool answers with a resource",
  "tools-call-mixed-content": "a tool answers with several kinds of content",
  "tools-call-with-logging": "a tool sends log messages while it works",
  "tools-call-error": "a tool that fails answers with an error to read",
  "tools-call-with-progress": "a tool reports progress while it works",
  "resources-list": "resources are listed",
  "resources-read-text": "a text resource is read",
  "resources-read-binary": "a binary resource is read",
  "resources-templates-read": "a resource is read through a template",
  "prompts-list": "prompts are listed",
  "prompts-get-simple": "a prompt without arguments is read",
  "prompts-get-with-args": "a prompt takes arguments",
  "prompts-get-embedded-resource": "a prompt carries a resource",
  "prompts-get-with-image": "a prompt carries an image",
  "dns-rebinding-protection": "another host's name is refused, ours is served",
};

/**
 * Requests from the server to the client, subscriptions and streams by session id need a session that outlives a
 * request. Pincer keeps none for the old revisions, and uses none of these.
 */
const NEEDS_A_SESSION = [
  "server-sse-multiple-streams",
  "tools-call-sampling",
  "tools-call-elicitation",
  "elicitation-sep1034-defaults",
  "elicitation-sep1330-enums",
  "resources-subscribe",
  "resources-unsubscribe",
];

let fixture: FixtureHost | undefined;

beforeAll(async () => {
  fixture = await startFixture();
});

afterAll(async () => {
  await fixture?.[Symbol.asyncDispose]();
});

describeRevision("2026-07-28", STATELESS, []);
describeRevision("2025-11-25", STATEFUL, NEEDS_A_SESSION);

function describeRevision(
  revision: Revision,
  scenarios: Readonly<Record<string, string>>,
  left: readonly string[],
): void {
  describe(`revision ${revision} on the fixture`, () => {
    let found: ReadonlyMap<string, Checks>;

    beforeAll(async () => {
      if (fixture === undefined) throw new Error("The fixture has not started.");
      found = await runRequirements(fixture.mcpUrl, revision);
    }, 120_000);

    test("every scenario that the revision scores has a test here or a reason", async () => {
      expect([...Object.keys(scenarios), ...left].toSorted()).toEqual((await requiredScenarios(revision)).toSorted());
    });

    test.for(Object.entries(scenarios))("%s: %s", ([scenario]) => {
      const checks = checksOf(found, scenario);
      expect(checks.map(({ status }) => status)).toContain("SUCCESS");
      expect(complaintsOf(checks)).toEqual([]);
    });
  });
}
