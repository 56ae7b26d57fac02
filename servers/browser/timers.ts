import type { Frame } from "@cloudflare/puppeteer";
import { within } from "./abort.ts";

/** Where the page's own world keeps it; symbols are seldom looked for. */
const KEY = `Symbol.for("pincer.timers")`;
/** A page that works without end has no pause to wait for. */
const EVALUATE_LIMIT_MS = 1_000;

/**
 * Runs in every document before the page's own scripts. Between `watch()` and `idle()` it knows of each short timer
 * that the page sets; the same function with the same delay counts once, so that a loop does not count for ever.
 */
export const TIMER_SCRIPT = `(() => {
  const LONGEST_MS = 1000;
  const pending = new Set();
  let seen;
  let waiting = [];
  const original = { setTimeout, clearTimeout, requestAnimationFrame };
  const done = (id) => {
    if (!pending.delete(id) || pending.size > 0) return;
    for (const wake of waiting.splice(0)) original.setTimeout.call(window, wake, 0);
  };
  window.setTimeout = new Proxy(original.setTimeout, {
    apply(target, self, args) {
      const [callback, delay = 0] = args;
      const key = seen !== undefined && typeof callback === "function" && Number(delay) <= LONGEST_MS
        ? delay + ":" + Function.prototype.toString.call(callback).slice(0, 500) : undefined;
      if (key === undefined || seen.has(key)) return Reflect.apply(target, self, args);
      seen.add(key);
      let id;
      const counted = function (...rest) {
        try { return Reflect.apply(callback, this, rest); } finally { done(id); }
      };
      id = Reflect.apply(target, self, [counted, ...args.slice(1)]);
      pending.add(id);
      return id;
    },
  });
  window.clearTimeout = new Proxy(original.clearTimeout, {
    apply(target, self, args) {
      done(args[0]);
      return Reflect.apply(target, self, args);
    },
  });
  const frame = () => new Promise((resolve) => {
    original.requestAnimationFrame.call(window, () => original.setTimeout.call(window, resolve, 0));
    original.setTimeout.call(window, resolve, 100);
  });
  const api = {
    watch() { seen = new Set(); pending.clear(); },
    async idle(limitMs) {
      const until = performance.now() + limitMs;
      do {
        if (pending.size > 0) {
          await new Promise((resolve) => {
            waiting.push(resolve);
            original.setTimeout.call(window, resolve, Math.max(0, until - performance.now()));
          });
        }
        await frame();
      } while (pending.size > 0 && performance.now() < until);
      return pending.size === 0;
    },
    rest() { seen = undefined; pending.clear(); },
  };
  Object.defineProperty(window, ${KEY}, { value: api });
})()`;

/** Has the page's short timers counted from here on. */
export async function watchTimers(frame: Frame): Promise<void> {
  await ask(frame, "watch()", EVALUATE_LIMIT_MS);
}

/** Resolves when those timers have gone off and what they did is drawn, or after `limitMs`; soon where the document goes. */
export async function timersIdle(frame: Frame, limitMs: number): Promise<void> {
  await ask(frame, `idle(${limitMs})`, limitMs + EVALUATE_LIMIT_MS);
}

export async function forgetTimers(frame: Frame): Promise<void> {
  await ask(frame, "rest()", EVALUATE_LIMIT_MS);
}

/** The document may go away, or be one that was there before us. */
async function ask(frame: Frame, call: string, limitMs: number): Promise<void> {
  await within(
    frame.evaluate(`window[${KEY}]?.${call}`).catch(() => undefined),
    limitMs,
  );
}
