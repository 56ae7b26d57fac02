import { join } from "node:path";
import { ANY_KEY, MODEL, MODEL_URL, SKILLS, SUITE_URL, fillSettings } from "../program/settings.mjs";

/** @param {{ home: string }} place */
export function configure({ home }) {
  fillSettings(join(home, ".config", "opencode", "opencode.json"), {
    $schema: "https://opencode.ai/config.json",
    model: `pincer/${MODEL}`,
    small_model: `pincer/${MODEL}`,
    share: "disabled",
    autoupdate: false,
    provider: {
      pincer: {
        name: "Pincer",
        npm: "@ai-sdk/openai-compatible",
        options: { baseURL: `${MODEL_URL}/v1`, apiKey: ANY_KEY },
        models: { [MODEL]: { name: "The suite's model", tool_call: true, attachment: true } },
      },
    },
    mcp: { pincer: { type: "remote", url: SUITE_URL, oauth: false } },
    skills: { paths: [SKILLS] },
  });
}
