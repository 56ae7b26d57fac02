import { reset } from "cloudflare:test";
import { beforeAll } from "vitest";

// The files of a run share a runtime, in which the whole Worker is loaded once; each begins with empty storage.
beforeAll(async () => {
  await reset();
});
