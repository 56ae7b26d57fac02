import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { type Books, createRecorder } from "../../servers/account/books.ts";
import { consoleLog } from "../../servers/core/log.ts";

test(
  "every call of a busy moment is in the books once, whoever else's calls are between",
  { timeout: 30_000 },
  async () => {
    const books: Books = new Map();
    const work: Promise<unknown>[] = [];
    const accountOf = (userId: string) => env.ACCOUNT.get(env.ACCOUNT.idFromName(userId));
    const recorderOf = (userId: string) =>
      createRecorder(books, {
        account: accountOf(userId),
        userId,
        clientId: "c1",
        isBilled: false,
        waitUntil: (promise) => work.push(promise),
        log: consoleLog,
      });
    const startedMs = Date.now();
    const ids = Array.from({ length: 40 }, () => crypto.randomUUID());
    for (const [index, id] of ids.entries()) {
      const finished = {
        tool: "test_tool",
        input: {},
        outcome: "ok",
        atMs: startedMs + index,
        durationMs: 1,
        outputBytes: 2,
      };
      recorderOf("busy-1")({ id, ...finished });
      if (index % 10 === 0) recorderOf("busy-2")({ id: crypto.randomUUID(), ...finished });
      await scheduler.wait(5);
    }
    await Promise.all(work);
    expect((await accountOf("busy-1").listAudit(100)).map(({ id }) => id)).toEqual(ids.toReversed());
    expect(await accountOf("busy-1").costTotal()).toMatchObject({ calls: 40 });
    expect(await accountOf("busy-2").listAudit(100)).toHaveLength(4);
    expect(books.size).toBe(0);
  },
);
