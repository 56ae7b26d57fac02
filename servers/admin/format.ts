import { type Html, html } from "../../auth/html.ts";

/*
 * How figures read on a page. Times are UTC to the minute, one time for everybody: a page has to make sense without a
 * script that could know the reader's.
 */

export function moment(atMs: number): Html {
  const iso = new Date(atMs).toISOString();
  return html`<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC</time>`;
}

/** To the second, for the audit. */
export function exactMoment(atMs: number): Html {
  const iso = new Date(atMs).toISOString();
  return html`<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 19)}</time>`;
}

/** `3 min ago`, with the time itself behind it. */
export function ago(atMs: number, nowMs: number): Html {
  const iso = new Date(atMs).toISOString();
  const passedMs = nowMs - atMs;
  // Clocks of two machines disagree by a little.
  const words = passedMs < 10_000 ? "just now" : `${duration(passedMs)} ago`;
  return html`<time datetime="${iso}" title="${iso.slice(0, 16).replace("T", " ")} UTC">${words}</time>`;
}

export function duration(ms: number): string {
  if (ms === 0) return "0 s";
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1_000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} days`;
}

/** In steps of 1,024, as the settings and the tools count megabytes. */
export function bytes(count: number): string {
  if (count < 1_024) return `${count} B`;
  const power = Math.min(4, Math.floor(Math.log2(count) / 10));
  const value = count / 1_024 ** power;
  const digits = value < 100 ? value.toFixed(1).replace(/\.0$/, "") : Math.round(value);
  return `${digits} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}

export function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** Cents where there are some; below that as many digits as it takes to tell it from nothing. */
export function usd(nanoUsd: number): string {
  const dollars = nanoUsd / 1e9;
  if (dollars === 0) return "$0";
  const size = Math.abs(dollars);
  if (size >= 1_000) return `$${Math.round(dollars).toLocaleString("en-US")}`;
  if (size >= 0.01) return `$${dollars.toFixed(2)}`;
  if (size >= 0.000_001) return `$${Number(dollars.toPrecision(2)).toFixed(7).replace(/0+$/, "")}`;
  return "under $0.000001";
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

export const DAY_MS = 24 * 60 * 60 * 1_000;
