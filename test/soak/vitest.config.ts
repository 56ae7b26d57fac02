import { defineConfig } from "vitest/config";

/** `npm run soak`: what takes minutes, one after the other, each with a suite of its own. */
export default defineConfig({
  test: {
    include: ["test/soak/**/*.soak.ts"],
    fileParallelism: false,
    testTimeout: 15 * 60_000,
    hookTimeout: 60_000,
  },
});
