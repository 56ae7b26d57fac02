import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BrowserSuite, type Person, startBrowserSuite } from "./browser-suite.ts";
import { LIVE_VIEW } from "./live-view.ts";
import { type Site, serveSite } from "./pages.ts";

const INSTRUCTIONS = "sign in, please.";
const WAITING = `Not done yet. Give the person this link, which is theirs alone: ${LIVE_VIEW}\nIt opens for ten minutes; call browser_handoff again to wait on.`;

let site: Site;
beforeAll(async () => {
  site = await serveSite("127.0.0.1", { "/": "<title>Sign in</title><p>sign in here</p>" });
});
afterAll(async () => await site[Symbol.asyncDispose]());

describe("where there is a live view", () => {
  let suite: BrowserSuite;
  beforeAll(async () => {
    suite = await startBrowserSuite([site.host], { settings: { LIVE_VIEW: "yes" } });
  });
  afterAll(async () => await suite[Symbol.asyncDispose]());

  const opened = async (): Promise<Person> => {
    const person = suite.person();
    await person.read("browser_open", { url: `${site.origin}/` });
    return person;
  };

  test("the person is given the link while the call waits, and it ends when they are done", async () => {
    await using person = await opened();
    const pending = person.call("browser_handoff", { instructions: INSTRUCTIONS });
    await expect.poll(async () => await person.isHandedOver()).toBe(true);
    await person.finish({ success: true, isHeard: true });
    expect(await pending).toEqual({
      ok: true,
      text: "The person is done; look at the page with browser_snapshot.",
      attachments: [],
      progress: [`Open ${LIVE_VIEW} and ${INSTRUCTIONS}`],
    });
    expect(await person.read("browser_snapshot")).toContain("sign in here");
  });

  test("a call that waited long enough is answered with the link, and the next one waits on", async () => {
    await using person = await opened();
    expect(await person.read("browser_handoff", { instructions: INSTRUCTIONS, seconds: 1 })).toBe(WAITING);
    expect(await person.read("browser_handoff", { instructions: INSTRUCTIONS, seconds: 1 })).toBe(WAITING);
    const pending = person.read("browser_handoff", { instructions: INSTRUCTIONS });
    await person.finish({ success: false, reason: "I have\nno password", isHeard: true });
    expect(await pending).toBe('The person did not do it, and says: "I have no password"');
  });

  test("what the person did between two calls is told by the next one, which begins nothing new", async () => {
    await using person = await opened();
    await person.read("browser_handoff", { instructions: INSTRUCTIONS, seconds: 1 });
    await person.finish({ success: true, isHeard: true });
    expect(await person.read("browser_handoff", { instructions: INSTRUCTIONS })).toContain("The person is done;");
    expect(await person.read("browser_handoff", { instructions: INSTRUCTIONS, seconds: 1 })).toBe(WAITING);
  });

  test("an eviction ends no hand-over, and its end is seen though nobody was told", async () => {
    await using person = await opened();
    await person.read("browser_handoff", { instructions: INSTRUCTIONS, seconds: 1 });
    await person.evict();
    expect(await person.read("browser_handoff", { instructions: INSTRUCTIONS, seconds: 1 })).toBe(WAITING);
    await person.finish({ success: true, isHeard: false });
    expect(await person.read("browser_handoff", { instructions: INSTRUCTIONS })).toBe(
      "The hand-over is over; look at the page with browser_snapshot for what was done.",
    );
  });

  test("a call that is cancelled leaves the page with the person", async () => {
    await using person = await opened();
    expect(await person.call("browser_handoff", { instructions: INSTRUCTIONS }, 4_000)).toMatchObject({
      ok: false,
      code: "cancelled",
    });
    expect(await person.isHandedOver()).toBe(true);
  });

  test("there is nothing to hand over before a page is open", async () => {
    await using person = suite.person();
    expect(await person.call("browser_handoff", { instructions: INSTRUCTIONS })).toMatchObject({
      ok: false,
      code: "not_found",
    });
  });
});

test("where there is no live view it says so, and what to do instead", async () => {
  await using suite = await startBrowserSuite([site.host]);
  await using person = suite.person();
  await person.read("browser_open", { url: `${site.origin}/` });
  expect(await person.call("browser_handoff", { instructions: INSTRUCTIONS })).toEqual({
    ok: false,
    code: "unavailable",
    message:
      "There is no live view of this browser, since it does not run at Cloudflare; ask the person for what the page needs, or have them do this in their own browser.",
  });
  expect(await person.read("browser_snapshot")).toContain("sign in here");
});
