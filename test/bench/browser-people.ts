import { startBrowserSuite } from "../browser/browser-suite.ts";
import { ADD, countText, serveBenchPage } from "./browser-page.ts";
import { drivePincer } from "./driven-browser.ts";
import { memoryMb, processTree } from "../support/process-tree.ts";
import type { Row } from "./table.ts";

const PEOPLE = 8;

/**
 * As many people at once, each with a Chrome of their own: all open the same page, press its button as many times as
 * nobody else does, and find it pressed so many times.
 */
export async function measurePeople(): Promise<Row[]> {
  await using site = await serveBenchPage();
  await using suite = await startBrowserSuite([site.host]);
  const people = Array.from({ length: PEOPLE }, () => suite.person());
  await using ended = new AsyncDisposableStack();
  for (const person of people) ended.use(person);
  const startedMs = performance.now();
  const pressed = people.map(async ({ read }, index) => {
    const browser = drivePincer(read);
    await browser.open(`${site.origin}/?person=${index}`);
    const ref = browser.refOf(await browser.snapshot(), ADD);
    for (let clicks = 0; clicks <= index; clicks += 1) await browser.click(ref);
    return await browser.snapshot();
  });
  for (const [index, snapshot] of (await Promise.all(pressed)).entries()) {
    for (const expected of [`/?person=${index}`, countText(index + 1)]) {
      if (!snapshot.includes(expected)) throw new Error(`Person ${index} sees no ${expected}: ${snapshot}`);
    }
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  const chromes = await suite.countChromes();
  if (chromes !== PEOPLE) throw new Error(`${PEOPLE} people have ${chromes} Chromes.`);
  const heldMb = await memoryMb((await processTree(process.pid)).filter((pid) => pid !== process.pid));
  return [
    { what: `${PEOPLE} browsers of ${PEOPLE} people at once, opened and clicked`, value: seconds, unit: " s" },
    { what: "  memory for each, with its share of the Worker", value: heldMb / PEOPLE, unit: " MB" },
  ];
}
