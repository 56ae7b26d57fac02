import { describe, expect, test } from "vitest";
import type { PortAnswer, Sandbox, SandboxPort } from "../../servers/sandbox/driver.ts";
import type { ProcessRead } from "../../servers/sandbox/process.ts";
import { portServer } from "./port-server.ts";

export interface PortSubject {
  /** A sandbox that no other case uses, and where a WebSocket to one of its ports begins. */
  readonly open: () => Promise<{ readonly sandbox: Sandbox; readonly socketUrl: (port: number) => string }>;
  readonly timeoutMs?: number;
}

const PORT = 4101;
const NOBODYS = 4102;
const GARBAGE = 4103;
/** What Node wants to hear where the length is not known. */
const HALF = { duplex: "half" };

/** What `servers/sandbox/driver.ts` promises of ports. */
export function describePorts(name: string, subject: PortSubject): void {
  describe(`${name}: ports`, { timeout: subject.timeoutMs ?? 60_000 }, () => {
    test("a port of a sandbox that sleeps says so and wakes nothing", async () => {
      const { sandbox } = await subject.open();
      expect(await sandbox.port(PORT).look()).toBe("asleep");
      expect((await ask(sandbox.port(PORT), "/")).state).toBe("asleep");
      expect((await sandbox.status()).state).toBe("asleep");
    });

    test("method, path, headers and body arrive as they were sent, and what is answered comes back so", async () => {
      const { sandbox } = await started(subject);
      expect(await sandbox.port(PORT).look()).toBe("listening");
      const answer = await heard(sandbox.port(PORT), "/echo?a=%20b&c", {
        method: "PUT",
        headers: { "x-asked": "yes", authorization: "Basic dTpw", cookie: "c=1" },
        body: "the body",
      });
      expect([answer.status, answer.headers.get("x-method"), answer.headers.get("x-url")]).toEqual([
        207,
        "PUT",
        "/echo?a=%20b&c",
      ]);
      const [headers = "", body] = (await answer.text()).split("\n");
      expect(JSON.parse(headers)).toMatchObject({
        host: `localhost:${PORT}`,
        "x-asked": "yes",
        authorization: "Basic dTpw",
        cookie: "c=1",
      });
      expect(headers).not.toMatch(/x-pincer/);
      expect(body).toBe("the body");
      const redirect = await heard(sandbox.port(PORT), "/other");
      expect([redirect.status, redirect.headers.get("location")]).toEqual([302, "/elsewhere"]);
      expect(redirect.headers.getSetCookie()).toEqual(["a=1", "b=2; Path=/"]);
    });

    test("large bodies pass both ways, many at once", async () => {
      const { sandbox } = await started(subject);
      const port = sandbox.port(PORT);
      const down = async (): Promise<number> => (await (await heard(port, "/large?pieces=256")).bytes()).length;
      const up = async (): Promise<string> =>
        await (await heard(port, "/count", { method: "POST", body: new Uint8Array(8_000_000) })).text();
      const unknown = new Blob([new Uint8Array(3_000_000)]).stream();
      expect(await (await heard(port, "/count", { method: "POST", body: unknown, ...HALF })).text()).toBe("3000000");
      expect(await Promise.all([down(), up(), down(), up()])).toEqual([2 ** 24, "8000000", 2 ** 24, "8000000"]);
    });

    test("events come as they are sent, and closing the port ends them", async () => {
      const { sandbox } = await started(subject);
      const { body } = await heard(sandbox.port(PORT), "/events");
      const reader = (body ?? new Blob([]).stream()).pipeThrough(new TextDecoderStream()).getReader();
      expect((await reader.read()).value).toBe("data: one\n\n");
      await sandbox.port(NOBODYS).close();
      const more = reader.read().then(
        ({ done }) => (done ? "ended" : "more"),
        () => "ended",
      );
      expect(await Promise.race([more, new Promise((resolve) => setTimeout(resolve, 300, "goes on"))])).toBe("goes on");
      await sandbox.port(PORT).close();
      expect(await more).toBe("ended");
    });

    test("an answer that goes on ends with its visitor's time", async () => {
      const { sandbox } = await started(subject);
      const request = new Request("http://localhost/events");
      const answer = await sandbox.port(PORT).fetch(request, Date.now() + 5_000);
      if (answer.state !== "answered") throw new Error(`The port is ${answer.state}.`);
      const ended = answer.response.text().then(
        () => "ended",
        () => "ended",
      );
      expect(await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 20_000, "goes on"))])).toBe(
        "ended",
      );
    });

    test("an answer that dies half-way breaks off, and is not taken for whole", async () => {
      const { sandbox } = await started(subject);
      const answer = await heard(sandbox.port(PORT), "/dies");
      await expect(answer.text()).rejects.toThrow();
      expect((await heard(sandbox.port(PORT), "/other")).status).toBe(302);
    });

    test("a port where nobody listens, and one that speaks no HTTP, are told apart", async () => {
      const { sandbox } = await started(subject);
      expect(await sandbox.port(NOBODYS).look()).toBe("closed");
      expect((await ask(sandbox.port(NOBODYS), "/")).state).toBe("closed");
      expect((await ask(sandbox.port(GARBAGE), "/")).state).toBe("garbled");
    });

    test("a WebSocket passes both ways, and closing the port ends it", async () => {
      const { sandbox, socketUrl } = await started(subject);
      const socket = new WebSocket(socketUrl(PORT));
      const messages: unknown[] = [];
      const closed = new Promise((resolve) => socket.addEventListener("close", resolve));
      socket.addEventListener("message", ({ data }) => messages.push(data));
      await new Promise((resolve, reject) => {
        socket.addEventListener("open", resolve);
        socket.addEventListener("error", reject);
      });
      socket.send("hello");
      await expect.poll(() => messages).toEqual(["hello"]);
      await sandbox.port(PORT).close();
      await closed;
    });
  });
}

/** Of a driver that reads what a port answers itself; before a container the platform does, and how is its affair. */
export function describeReading(name: string, subject: PortSubject): void {
  describe(`${name}: what its ports answer`, { timeout: subject.timeoutMs ?? 60_000 }, () => {
    test("a status that is none, and bytes that are none in a reason, harm nobody else", async () => {
      const { sandbox } = await started(subject);
      for (const head of ["HTTP/1.1 200 \u0001", "HTTP/1.1 200 \u007F", "HTTP/1.1 099 Low", "HTTP/1.1 000 Low"]) {
        const { state } = await ask(sandbox.port(PORT), `/raw?${new URLSearchParams({ head }).toString()}`);
        expect(["answered", "garbled"]).toContain(state);
        expect((await heard(sandbox.port(PORT), "/other")).status).toBe(302);
      }
    });

    test("a WebSocket that nobody asked for takes no connection away", async () => {
      const { sandbox } = await started(subject);
      const head = "HTTP/1.1 101 Unasked\r\nUpgrade: websocket\r\nConnection: Upgrade";
      const path = `/raw?${new URLSearchParams({ head }).toString()}`;
      for (let times = 0; times < 520; times += 20) {
        await Promise.all(Array.from({ length: 20 }, async () => await ask(sandbox.port(PORT), path)));
      }
      expect((await heard(sandbox.port(PORT), "/other")).status).toBe(302);
    });
  });
}

async function started(subject: PortSubject): ReturnType<PortSubject["open"]> {
  const opened = await subject.open();
  const { sandbox } = opened;
  const watch = { signal: new AbortController().signal };
  await sandbox.writeFile("/workspace/server.cjs", new TextEncoder().encode(portServer(PORT, GARBAGE)));
  const limits = { timeoutMs: 120_000, waitMs: 0, maxChars: 10_000 };
  const { processId } = await sandbox.exec({ command: "node server.cjs", ...limits }, watch);
  const read: ProcessRead = {
    after: { stdout: 0, stderr: 0 },
    waitMs: 20_000,
    until: { port: GARBAGE },
    maxChars: 1_000,
  };
  expect(await sandbox.readProcess(processId, read, watch)).toMatchObject({ isReached: true });
  return opened;
}

async function ask(port: SandboxPort, path: string, init: RequestInit = {}): Promise<PortAnswer> {
  return await port.fetch(new Request(`http://localhost${path}`, init), Date.now() + 60_000);
}

async function heard(port: SandboxPort, path: string, init: RequestInit = {}): Promise<Response> {
  const answer = await ask(port, path, init);
  if (answer.state !== "answered") throw new Error(`The port is ${answer.state}.`);
  return answer.response;
}
