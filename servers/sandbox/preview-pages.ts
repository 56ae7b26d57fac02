import { html, pageResponse } from "../../auth/html.ts";
import { wantsHtml } from "./preview-headers.ts";

/** What a visitor is told in place of what runs in the sandbox. */
export interface Notice {
  readonly status: number;
  readonly heading: string;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Looks again after so many seconds. */
  readonly again?: number;
}

/** A page for browsers, a line for programs. */
export function notice(request: Request, { status, heading, text, headers: given = {}, again }: Notice): Response {
  const headers = new Headers({ ...given, "Referrer-Policy": "no-referrer" });
  if (again !== undefined) headers.set("Retry-After", String(again));
  if (!wantsHtml(request.headers)) {
    headers.set("Content-Type", "text/plain; charset=utf-8");
    headers.set("Cache-Control", "no-store");
    headers.set("X-Content-Type-Options", "nosniff");
    return new Response(`${heading}. ${text}\n`, { status, headers });
  }
  // The page runs no script: the header makes it look again.
  if (again !== undefined) headers.set("Refresh", String(again));
  const body = html`<h1>${heading}</h1>
    <p>${text}</p>`;
  return pageResponse({ title: heading, body, status, headers });
}

/** One answer for a preview that never was, was withdrawn, or is another person's: which, is nobody's business. */
export const GONE: Notice = {
  status: 404,
  heading: "There is no such preview",
  text: "It was never there, was withdrawn, or is not for you. Ask for a new link.",
};

export const NOT_SIGNED_IN: Notice = {
  status: 401,
  heading: "This preview is for its person alone",
  text: "Open its URL in a browser that is signed in to Pincer, or ask for a share link.",
};

export const FOREIGN: Notice = {
  status: 403,
  heading: "Another page may not do that",
  text: "Only the preview's own pages may send it requests.",
};

export const UNFIT: Notice = {
  status: 400,
  heading: "That request cannot be passed on",
  text: "It asks with GET or HEAD and has a body, or is longer than can be. Send it with POST, or in parts.",
};

export const TOO_LONG: Notice = {
  status: 431,
  heading: "That request is too long",
  text: "Its address and headers come to more than 128 KB. Where it is the cookies, clear those of this preview.",
};

export const WAKING: Notice = {
  status: 503,
  heading: "The sandbox is waking up",
  text: "Its files come back first. What ran in it has ended: an agent that ran as a preset starts again, and anything else has to be started.",
  again: 2,
};

/** In a sandbox that has just woken. */
export function startingUp(port: number): Notice {
  return {
    ...nothingListens(port),
    text: "The sandbox has just woken, which ended all that ran in it. An agent that ran as a preset is being started again, and this page looks again by itself; start anything else with sandbox_exec.",
    again: 5,
  };
}

export function nothingListens(port: number): Notice {
  return {
    status: 502,
    heading: `Nothing listens on port ${port}`,
    text: "The server was not started, or has ended, as all do when a sandbox sleeps; in a container it has to listen on 0.0.0.0. Start it with sandbox_exec and load this page again.",
  };
}

export function speaksGarbage(port: number): Notice {
  return {
    status: 502,
    heading: `What listens on port ${port} gave no answer that HTTP knows`,
    text: "It speaks something else, or broke off. Look at what it has written with sandbox_wait.",
  };
}

export function staysSilent(port: number, seconds: number): Notice {
  return {
    status: 504,
    heading: `What listens on port ${port} did not answer within ${seconds} s`,
    text: "Look at what it has written with sandbox_wait, or start it again.",
  };
}

export const BUSY: Notice = {
  status: 503,
  heading: "Too many connections",
  text: "The sandbox has as many as it takes; close some and try again.",
  headers: { "Retry-After": "5" },
};
