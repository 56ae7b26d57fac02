import type { LivePage } from "./live-page.ts";

/** What finds a tab again after an eviction. */
export interface TabRecord {
  readonly number: number;
  readonly targetId: string;
}

/** A page that somebody asked for, and all that has come of it by itself. */
export interface Family {
  refused: number;
}

export interface Tab {
  readonly number: number;
  readonly targetId: string;
  family: Family;
  /** Whether a client of Chrome's own protocol has opened it, and nothing is done to it unless a call turns to it. */
  readonly isGuest: boolean;
  /** Of what is attached to. Absent where the page is so busy that it cannot be, and then closed. */
  live?: Promise<LivePage | undefined>;
}

export function popUpNote(number: number): string {
  return `A pop-up opened as tab ${number}; look at it with browser_open {"tab": "${number}"}.`;
}

export function guestNote(number: number): string {
  return `A program in the sandbox opened tab ${number}; look at it with browser_open {"tab": "${number}"}.`;
}
