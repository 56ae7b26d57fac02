import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type HardVisit, startHardVisit } from "./hard-visit.ts";

let visit: HardVisit;
beforeAll(async () => {
  visit = await startHardVisit();
});
afterAll(async () => await visit[Symbol.asyncDispose]());

const NEXT = "We value your privacy";

describe.concurrent("the next one comes after", () => {
  test("redirects without end, which are said to be", async () => {
    await using other = visit.another();
    expect(await other.call("browser_open", { url: `${visit.origin}/loop` })).toEqual({
      ok: false,
      code: "unavailable",
      message: `${visit.hosts[0]} redirects in a circle; try another URL.`,
    });
    expect(await other.open("/banner")).toContain(NEXT);
  });

  test("a page that leads to itself by script without end", async () => {
    await using other = visit.another();
    expect(await other.read("browser_open", { url: `${visit.origin}/loop/script` })).toContain(
      "Note: The page is still loading.",
    );
    expect(await other.open("/banner")).toContain(NEXT);
  });

  test("a page that has eaten all memory, which is said to have crashed", async ({ expect }) => {
    await using other = visit.another();
    await other.open("/hungry");
    await other.call("browser_click", { ref: await other.refOf('button "Eat"') });
    const crashed = await vi.waitFor(
      async () => {
        const answer = await other.call("browser_snapshot");
        expect(answer).toMatchObject({ ok: false, code: "unavailable" });
        return answer;
      },
      { timeout: 40_000, interval: 500 },
    );
    expect(crashed).toMatchObject({ message: "The page crashed; open it, or another one, with browser_open." });
    expect(await other.open("/banner")).toContain(NEXT);
  });

  test("a download that never ends", async () => {
    await using other = visit.another();
    await other.open("/downloads");
    const late = "Note: A download is still coming; a later call brings it to files.";
    expect(await other.click('link "Archive without end"')).toBe(`${late}\nNothing changed on the page.`);
    const next = await other.call("browser_click", { ref: await other.refOf('link "Report by header"') });
    expect(next).toMatchObject({ ok: true, attachments: [{ path: expect.stringMatching("-report.csv$") }] });
    expect(next).not.toMatchObject({ text: expect.stringContaining(late) });
  });
});
