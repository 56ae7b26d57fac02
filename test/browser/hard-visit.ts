import { type Person, startBrowserSuite } from "./browser-suite.ts";
import { type HardPages, serveHardPages } from "./hard-pages/site.ts";
import { type Visitor, visitorOf } from "./visitor.ts";

/** The hard pages, and a person who visits them with one browser in all the tests of a file. */
export interface HardVisit extends HardPages, Person, Visitor {
  /** Somebody else, with a browser of their own. */
  readonly another: () => Person & Visitor;
}

export async function startHardVisit(): Promise<HardVisit> {
  const pages = await serveHardPages();
  const suite = await startBrowserSuite(pages.hosts);
  const another = (): Person & Visitor => {
    const person = suite.person();
    return { ...person, ...visitorOf(person, pages.origin) };
  };
  return {
    ...pages,
    ...another(),
    another,
    [Symbol.asyncDispose]: async () => {
      await suite[Symbol.asyncDispose]();
      await pages[Symbol.asyncDispose]();
    },
  };
}
