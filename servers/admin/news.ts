import { type Html, html } from "../../auth/html.ts";

/** What a page says after an act, by the word that the way back carries: nobody can put words of their own there. */
const NEWS: Readonly<Record<string, string>> = {
  revoked: "Revoked. Where it is at work, it stops within two minutes.",
  snapshot: "A snapshot was taken.",
  restart: "The sandbox was restarted: its files are as they were.",
  sleep: "The sandbox was put to sleep; the next call wakes it.",
  reset: "The sandbox was reset.",
  kill: "The process was ended.",
  withdraw: "The preview was withdrawn: nobody gets in by it any more.",
  "start-preset": "It is being installed and started, which takes a minute or more.",
  "stop-preset": "The agent was stopped; what it keeps is there when it starts again.",
  close: "The browser was closed.",
  cancel: "The run was cancelled.",
  kept: "The calls are kept in your files, below audit-exports/.",
  limits: "The limits hold within two seconds.",
  paused: "Paused. What is at work ends within seconds.",
  resumed: "Work can go on.",
};

export function newsNote({ searchParams }: URL): Html | undefined {
  const words = NEWS[searchParams.get("done") ?? ""];
  return words === undefined ? undefined : html`<p class="note" role="status">${words}</p>`;
}

export function problemNote(message: string): Html {
  return html`<p class="note error" role="alert">${message}</p>`;
}
