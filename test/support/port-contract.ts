import { describe, expect, test } from "vitest";
import type { PortAnswer, Sandbox, SandboxPort } from "../../servers/sandbox/driver.ts";
import type { ProcessRead } from "../../servers/sandbox/process.ts";

export interface PortSubject {
  /** A sandbox that no other case uses, and where a WebSocket to one of its ports begins. */
  readonly open: () => Promise<{ readonly sandbox: Sandbox; readonly socketUrl: (port: number) => string }>;
  readonly timeoutMs?: number;
}

const PORT = 4101;
const NOBODYS = 4102;
const GARBAGE = 4103;

/** What a server in the sandbox answers; each case asks for another path. It has no package at hand: it frames by hand. */
const SERVER = `
const { createServer } = require("node:http");
const { createHash } = require("node:crypto");
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, "http://x");
  if (pathname === "/echo") {
    response.writeHead(207, { "x-method": request.method, "x-url": request.url, "x-pincer-port-state": "asleep" });
    response.write(JSON.stringify(request.headers) + "\\n");
    return request.pipe(response);
  }
  if (pathname === "/large") {
    const piece = Buffer.alloc(1 << 16, "x");
    let left = 64 * 16;
    const more = () => { while (left-- > 0) if (!response.write(piece)) return response.once("drain", more); response.end(); };
    return more();
  }
  if (pathname === "/count") {
    let bytes = 0;
    request.on("data", (chunk) => (bytes += chunk.length));
    return request.on("end", () => response.end(String(bytes)));
  }
  if (pathname === "/events") {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: one\\n\\n");
    return;
  }
  if (pathname === "/dies") {
    response.writeHead(200, { "content-length": 1000 });
    response.write("half");
    return setTimeout(() => response.destroy(), 100);
  }
  response.writeHead(302, { location: "/elsewhere", "set-cookie": ["a=1", "b=2; Path=/"] }).end();
});
server.on("upgrade", (request, socket) => {
  const key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  const accept = createHash("sha1").update(key).digest("base64");
  socket.write("HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: " + accept + "\\r\\n\\r\\n");
  socket.on("error", () => {});
  let held = Buffer.alloc(0);
  socket.on("data", (bytes) => {
    held = Buffer.concat([held, bytes]);
    const size = held[1] & 127;
    if (held.length < 6 + size) return;
    if ((held[0] & 15) === 8) return socket.end();
    const mask = held.subarray(2, 6);
    const text = held.subarray(6, 6 + size).map((byte, at) => byte ^ mask[at % 4]);
    held = held.subarray(6 + size);
    socket.write(Buffer.concat([Buffer.from([0x81, size]), text]));
  });
});
server.listen(${PORT}, "0.0.0.0", () => require("node:net").createServer((socket) => {
  socket.on("error", () => {});
  socket.end("what is that?\\r\\n\\r\\n");
}).listen(${GARBAGE}, "0.0.0.0"));
`;

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
      const down = async (): Promise<number> => (await (await heard(port, "/large")).bytes()).length;
      const up = async (): Promise<string> =>
        await (await heard(port, "/count", { method: "POST", body: new Uint8Array(20_000_000) })).text();
      expect(await Promise.all([down(), up(), down(), up()])).toEqual([2 ** 26, "20000000", 2 ** 26, "20000000"]);
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

async function started(subject: PortSubject): ReturnType<PortSubject["open"]> {
  const opened = await subject.open();
  const { sandbox } = opened;
  const watch = { signal: new AbortController().signal };
  await sandbox.writeFile("/workspace/server.cjs", new TextEncoder().encode(SERVER));
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
