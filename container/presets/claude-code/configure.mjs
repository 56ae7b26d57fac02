import { join } from "node:path";
import { ANY_KEY, MODEL_URL, SUITE_URL, fillSettings, linkSkills } from "../program/settings.mjs";

/** @param {{ home: string }} place */
export function configure({ home }) {
  fillSettings(join(home, ".claude", "settings.json"), {
    env: {
      ANTHROPIC_BASE_URL: MODEL_URL,
      ANTHROPIC_AUTH_TOKEN: ANY_KEY,
      // To hosts that the sandbox does not reach.
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
      DISABLE_AUTOUPDATER: "1",
    },
    // Whatever runs in here may call the suite's tools; to be asked for each would protect nothing.
    permissions: { allow: ["mcp__pincer"] },
  });
  fillSettings(join(home, ".claude.json"), {
    hasCompletedOnboarding: true,
    mcpServers: { pincer: { type: "http", url: SUITE_URL } },
  });
  linkSkills(join(home, ".claude", "skills"));
}
