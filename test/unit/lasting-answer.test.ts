import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { SILENCE_MS, answerLasting } from "../../servers/core/lasting-answer.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const COMMENT = ": keepalive\n\n";
const CALL = { Accept: "application/json, text/event-stream", "Mcp-Method": "tools/call" };

/** How a request with these headers is answered whose call takes a while. */
async function answerLate(headers: Readonly<Record<string, string>>, response: Response): Promise<Response> {
  const work = Promise.withResolvers<Response>();
  const answer = answerLasting(new Request("http://localhost/mcp", { method: "POST", headers }), work.promise);
  await vi.advanceTimersByTimeAsync(SILENCE_MS * 1.5);
  work.resolve(response);
  return await answer;
}

test("what is there in a moment is the answer, whatever its status", async () => {
  const response = Response.json({ id: 1 }, { status: 400 });
  const request = new Request("http://localhost/mcp", { method: "POST", headers: CALL });
  expect(await answerLasting(request, Promise.resolve(response))).toBe(response);
});

test("what takes longer is the one event of a stream", async () => {
  const answer = await answerLate(CALL, Response.json({ id: 1 }));
  expect(answer.headers.get("Content-Type")).toBe("text/event-stream");
  expect(await answer.text()).toBe(`${COMMENT}event: message\ndata: {"id":1}\n\n`);
});

test("a stream that comes late goes on with its own events", async () => {
  const events = "event: message\ndata: 1\n\nevent: message\ndata: 2\n\n";
  const answer = await answerLate(CALL, new Response(events, { headers: { "Content-Type": "text/event-stream" } }));
  expect(await answer.text()).toBe(COMMENT + events);
});

test.each([
  ["takes no streams", { ...CALL, Accept: "application/json" }],
  ["speaks a revision of 2025", { Accept: CALL.Accept }],
  ["lists tools", { ...CALL, "Mcp-Method": "tools/list" }],
])("a client that %s waits for the answer as it is", async (_who, headers) => {
  const response = Response.json({ id: 1 });
  expect(await answerLate(headers, response)).toBe(response);
});
