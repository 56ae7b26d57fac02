import { describe, expect, test } from "vitest";
import { ContainerPorts } from "../../container/ports.ts";

/** The ports of a container in which whatever is asked is answered like that. */
function portsThat(answer: (url: string, init: RequestInit) => Promise<Response>) {
  const uses: number[] = [];
  const container = {
    running: true,
    getTcpPort: () => ({
      fetch: answer,
      connect: () => {
        throw new Error("Nobody connects.");
      },
    }),
  };
  const ports = new ContainerPorts(
    () => container,
    () => void uses.push(Date.now()),
  );
  const ask = async (headers: Record<string, string> = {}): Promise<Response> => {
    const request = new Request("http://localhost/", {
      headers: { "x-pincer-port": "4000", "x-pincer-port-until": String(Date.now() + 60_000), ...headers },
    });
    return (await ports.fetch(request)) ?? new Response("The SDK's", { status: 400 });
  };
  return { ports, uses, ask, container };
}

/** A WebSocket to a server in the container, and that server's end. */
async function socketThrough(untilMs: number) {
  const { 0: theirs, 1: inside } = new WebSocketPair();
  inside.accept();
  const suite = portsThat(async () => new Response(null, { status: 101, webSocket: theirs }));
  const answer = await suite.ask({ Upgrade: "websocket", "x-pincer-port-until": String(untilMs) });
  const visitor = answer.webSocket;
  if (visitor === null) throw new Error("There is no WebSocket.");
  visitor.accept();
  const closed = new Promise<CloseEvent>((resolve) => visitor.addEventListener("close", resolve));
  return { ...suite, inside, visitor, closed };
}

describe("a request to a port of a container", () => {
  test("without a port is the SDK's", async () => {
    const { ports } = portsThat(async () => new Response("inside"));
    expect(await ports.fetch(new Request("http://localhost/"))).toBeUndefined();
  });

  test("ends with its visitor's time", async () => {
    const { ports, ask } = portsThat(
      async (_url, { signal }) =>
        await new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(new Error("Aborted.")))),
    );
    const answer = ask({ "x-pincer-port-until": String(Date.now() + 300) });
    expect(ports.isInUse).toBe(true);
    expect((await answer).headers.get("x-pincer-port-state")).toBe("garbled");
    expect(ports.isInUse).toBe(false);
  });

  test("counts as use until all of its answer has come", async () => {
    const ended = Promise.withResolvers<void>();
    const body = new ReadableStream({
      start: async (controller) => {
        await ended.promise;
        controller.close();
      },
    });
    const { ports, uses, ask } = portsThat(async () => new Response(body));
    const answer = await ask();
    expect([answer.headers.get("x-pincer-port-state"), ports.isInUse, uses.length]).toEqual(["answered", true, 1]);
    ended.resolve();
    expect(await answer.text()).toBe("");
    await expect.poll(() => [ports.isInUse, uses.length]).toEqual([false, 2]);
  });

  test("of which nobody can tell the answer is over at once", async () => {
    const { ports, ask, container } = portsThat(async () => await Promise.reject(new Error("not listening")));
    expect((await ask()).headers.get("x-pincer-port-state")).toBe("closed");
    expect(ports.isInUse).toBe(false);
    container.running = false;
    expect((await ask()).headers.get("x-pincer-port-state")).toBe("asleep");
  });
});

describe("a WebSocket to a port of a container", () => {
  test("is use with each message, and none while it idles", async () => {
    const { ports, uses, inside, visitor } = await socketThrough(Date.now() + 60_000);
    expect(ports.isInUse).toBe(false);
    const before = uses.length;
    inside.addEventListener("message", ({ data }) => inside.send(`${String(data)} too`));
    const said = new Promise((resolve) => visitor.addEventListener("message", ({ data }) => resolve(data)));
    visitor.send("hello");
    expect(await said).toBe("hello too");
    expect(uses.length - before).toBe(2);
    visitor.close(1000);
  });

  test("ends when its time is up", async () => {
    const { closed } = await socketThrough(Date.now() + 200);
    expect((await closed).code).toBe(1008);
  });

  test("ends when its port is closed, and no other", async () => {
    const { ports, closed, visitor } = await socketThrough(Date.now() + 60_000);
    ports.hangUp(4001);
    expect(visitor.readyState).toBe(WebSocket.OPEN);
    ports.hangUp(4000);
    expect((await closed).code).toBe(1008);
  });

  test("that is flooded ends", async () => {
    const { inside, closed } = await socketThrough(Date.now() + 60_000);
    const piece = new Uint8Array(1024 * 1024);
    for (let sent = 0; sent < 65; sent += 1) inside.send(piece);
    expect((await closed).code).toBe(1013);
  });
});
