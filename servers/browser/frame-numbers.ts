import type { Frame, Page } from "@cloudflare/puppeteer";
import { handleOf } from "./puppeteer-internals.ts";

/** Numbers the frames of a page in the order in which they are first seen; a frame keeps its number. */
export class FrameNumbers {
  readonly #ids: string[];

  constructor(ids: readonly string[] = []) {
    this.#ids = [...ids];
  }

  get ids(): readonly string[] {
    return this.#ids;
  }

  /** From 1 on. */
  numberOf(frameId: string): number {
    const known = this.#ids.indexOf(frameId);
    return known >= 0 ? known + 1 : this.#ids.push(frameId);
  }
}

/** The frame with that number, if it is still there; 0 is the page itself. */
export function findFrame(page: Page, { ids }: FrameNumbers, frameNumber: number): Frame | undefined {
  if (frameNumber === 0) return page.mainFrame();
  const id = ids[frameNumber - 1];
  return page.frames().find((frame) => handleOf(frame).id === id);
}
