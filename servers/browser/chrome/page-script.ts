/** Where the page's own world keeps what follows; symbols are seldom looked for. */
export const PAGE_KEY = `Symbol.for("pincer")`;

/**
 * Runs in every document before the page's own scripts. Between `watch()` and `idle()` it knows of each short timer that
 * the page sets; the same function with the same delay counts once, so that a loop does not count for ever. Fast
 * intervals, and sockets and workers that are told something, are waited for too, a second at most. It also holds on to
 * the last few blobs that the page gave URLs, for a download of one.
 */
export const PAGE_SCRIPT = `(() => {
  const LONGEST_MS = 1000;
  const LONGEST_INTERVAL_MS = 250;
  const LARGEST_BLOB = 100 * 1024 * 1024;
  const MOST_BLOBS = 5;
  const SCROLLING = new Set(["End", "Home", "PageDown", "PageUp", " "]);
  const SCROLL_FRAMES = 5;
  const SCROLL_MS = 2500;
  const pending = new Map();
  let seen;
  let isActing = false;
  let waiting = [];
  const original = { setTimeout, setInterval, clearTimeout, clearInterval, requestAnimationFrame };
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
      pending.set(id, key);
      return id;
    },
  });
  for (const name of ["clearTimeout", "clearInterval"])
    window[name] = new Proxy(original[name], {
      apply(target, self, args) {
        // What puts itself off with every key, as suggestions do, is waited for after the last one.
        if (isActing) seen?.delete(pending.get(args[0]));
        done(args[0]);
        return Reflect.apply(target, self, args);
      },
    });
  const hold = (id, limitMs = LONGEST_MS) => {
    pending.set(id);
    original.setTimeout.call(window, done, limitMs, id);
  };
  // What counts up to something ends by itself.
  window.setInterval = new Proxy(original.setInterval, {
    apply(target, self, args) {
      const id = Reflect.apply(target, self, args);
      if (seen !== undefined && Number(args[1] ?? 0) <= LONGEST_INTERVAL_MS) hold(id);
      return id;
    },
  });
  for (const [prototype, name] of [[WebSocket.prototype, "send"], [Worker.prototype, "postMessage"]])
    prototype[name] = new Proxy(prototype[name], {
      apply(target, self, args) {
        if (seen !== undefined && !seen.has(self)) {
          seen.add(self);
          hold(self);
          self.addEventListener("message", () => done(self), { once: true });
        }
        return Reflect.apply(target, self, args);
      },
    });
  const frame = () => new Promise((resolve) => {
    original.requestAnimationFrame.call(window, () => original.setTimeout.call(window, resolve, 0));
    original.setTimeout.call(window, resolve, 100);
  });
  // Chrome begins some frames after the key to scroll far, which are late on a busy machine.
  addEventListener("keydown", async (event) => {
    if (seen === undefined || !event.isTrusted || !SCROLLING.has(event.key)) return;
    hold(event);
    for (let frames = 0; frames < SCROLL_FRAMES; frames += 1) await frame();
    done(event);
  }, { capture: true, passive: true });
  // Keys and scripts scroll smoothly: nothing is where it was before the end of that.
  addEventListener("scroll", () => {
    if (seen === undefined || seen.has(window)) return;
    seen.add(window);
    hold(window, SCROLL_MS);
  }, { capture: true, passive: true });
  addEventListener("scrollend", () => done(window), { capture: true, passive: true });
  const api = {
    watch() { seen = new Set(); pending.clear(); isActing = true; },
    async idle(limitMs) {
      isActing = false;
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
  // A page takes a blob's URL back as soon as it has clicked on it.
  const blobs = new Map();
  URL.createObjectURL = new Proxy(URL.createObjectURL, {
    apply(target, self, args) {
      const url = Reflect.apply(target, self, args);
      if (args[0] instanceof Blob && args[0].size <= LARGEST_BLOB) blobs.set(url, args[0]);
      if (blobs.size > MOST_BLOBS) blobs.delete(blobs.keys().next().value);
      return url;
    },
  });
  api.blob = async (url) => blobs.get(url) ?? await (await fetch(url)).blob();
  Object.defineProperty(window, ${PAGE_KEY}, { value: api });
})()`;
