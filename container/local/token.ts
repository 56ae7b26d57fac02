import { parseArgs } from "node:util";
import { readSuite, requestToken } from "./running-suite.ts";

/** `npm run token`: prints a personal access token for the running suite, and nothing else on stdout. */

const USAGE = "Usage: npm run token -- [--scopes files:read,files:write] [--expires 30d] [--name NAME] [--data DIR]";
const UNIT_SECONDS = { m: 60, h: 3_600, d: 86_400 } as const;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      scopes: { type: "string" },
      expires: { type: "string" },
      name: { type: "string" },
      data: { type: "string", default: ".pincer" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    console.error(USAGE);
    return;
  }
  const { scopes, expires, name } = values;
  const token = await requestToken(await readSuite(values.data), {
    ...(scopes === undefined ? {} : { scopes: scopes.split(/[ ,]+/).filter((scope) => scope !== "") }),
    ...(expires === undefined ? {} : { expiresInSeconds: parseDuration(expires) }),
    ...(name === undefined ? {} : { name }),
  });
  console.log(token);
}

function parseDuration(text: string): number {
  const [, amount, unit] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  if (unit !== "m" && unit !== "h" && unit !== "d") {
    throw new Error(`--expires ${text} is no duration; give a number and m, h or d, such as 7d.`);
  }
  return Number(amount) * UNIT_SECONDS[unit];
}

try {
  await main();
} catch (failure) {
  console.error(failure instanceof Error ? failure.message : failure);
  process.exitCode = 1;
}
