import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";

const CONVERSATION = new URL("../../container/local/sandbox/inside/conversation.mjs", import.meta.url);

/** What the agent does where it has more to say to the runtime than that has read, and begins to pass bytes on. */
const BUSY_AGENT = `
import { PassThrough, Readable } from "node:stream";
import { outbox } from ${JSON.stringify(CONVERSATION.href)};
void outbox.send(1, 1, Buffer.alloc(4_000_000));
await new Promise((resolve) => setTimeout(resolve, 300));
Readable.from(["x"]).pipe(new PassThrough());
console.error("goes on");
process.exit(0);
`;

test("an agent whose runtime reads slowly can connect something for the first time", async () => {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", BUSY_AGENT], { stdio: "pipe" });
  expect(await text(child.stderr)).toBe("goes on\n");
});
