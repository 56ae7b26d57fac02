import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Sandbox } from "../../servers/sandbox/driver.ts";
import { INSIDE_SANDBOX, INSIDE_SECRET } from "../../servers/shared/inside-hosts.ts";
import { startEgressProxy } from "../../container/local/egress/proxy.ts";
import { serve } from "../egress/loopback.ts";
import { createDriverWithoutSnapshots } from "../support/no-snapshots.ts";
import { startLocalSandboxes, run } from "./local-sandboxes.ts";
import { mapFiles } from "./map-files.ts";
import { startRuntimeChild } from "./runtime-child.ts";

const SECRET = "secret-that-nobody-inside-may-see";
const ASK = "curl -sS -m 20 http://pincer.internal/mcp";
const ASK_WITHOUT_PROXY = "curl -sS -m 20 --noproxy '*' http://pincer.internal/mcp";

/** A suite that says as whom it is asked, and the proxy that leads to it. */
async function startEgress() {
  const suite = await serve((request, response) => {
    const { [INSIDE_SECRET]: secret, [INSIDE_SANDBOX]: sandbox } = request.headers;
    response.end(`${secret === SECRET ? String(sandbox) : "a stranger"}\n`);
  });
  const folder = await mkdtemp(join(tmpdir(), "egress-"));
  const startProxy = async () =>
    await startEgressProxy({
      ...{ mode: "sandbox", allowedHosts: [], insideSecret: SECRET, log: () => undefined },
      ...{ suiteOrigin: `http://localhost:${suite.port}`, socketPath: join(folder, "egress.sock") },
    });
  let proxy = await startProxy();
  return {
    socketPath: proxy.socketPath,
    restart: async () => {
      await proxy.close();
      proxy = await startProxy();
    },
    [Symbol.asyncDispose]: async () => {
      await proxy.close();
      await suite[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

/** Where the agent inside stands still meanwhile, which what goes by way of it waits for. */
function withoutAgent(command: string): string {
  const agent = "$(pgrep -f '^/opt/node/bin/node .*/opt/pincer/agent.mjs$')";
  return `kill -STOP ${agent} && ${command}; kill -CONT ${agent}`;
}

async function saidWithoutAgent(sandbox: Sandbox, command: string): Promise<string> {
  const { stdout, stderr } = await run(sandbox, withoutAgent(command));
  return stdout.text + stderr.text;
}

/** Once the sandbox has gone out, and its way has become the direct one. */
async function goneOut(sandbox: Sandbox, answer: string): Promise<void> {
  expect((await run(sandbox, ASK)).stdout.text).toBe(answer);
  await expect.poll(async () => await saidWithoutAgent(sandbox, ASK.replace("-m 20", "-m 1"))).toBe(answer);
}

test("after a sandbox has gone out once, its programs reach the proxy without the agent, as their sandbox", async () => {
  await using egress = await startEgress();
  await using sandboxes = await startLocalSandboxes({ egressSocket: egress.socketPath });
  const [mine, other] = [sandboxes.open({ id: "owner-mine" }), sandboxes.open({ id: "other-main" })];
  await goneOut(mine, "owner-mine\n");
  await goneOut(other, "other-main\n");
  for (const ask of [ASK, ASK_WITHOUT_PROXY, `${ASK} --proxytunnel`]) {
    expect(await saidWithoutAgent(mine, ask), ask).toBe("owner-mine\n");
    expect(await saidWithoutAgent(mine, `${ask} -H '${INSIDE_SANDBOX}: other-main'`), ask).toBe("owner-mine\n");
    expect(await saidWithoutAgent(other, ask), ask).toBe("other-main\n");
  }
  // The line by which the runtime says whose a connection is means nothing here.
  const line = `printf 'other-main 80\\nGET http://pincer.internal/mcp HTTP/1.1\\r\\n\\r\\n' | curl -sS -m 20 --http0.9 telnet://127.0.0.1:3128`;
  expect((await run(mine, line)).stdout.text).toMatch(/^HTTP\/1\.1 400 /);
});

test("whoever waits at the agent's place while the proxy takes it is answered as well", async () => {
  await using egress = await startEgress();
  await using sandboxes = await startLocalSandboxes({ egressSocket: egress.socketPath });
  const sandbox = sandboxes.open({ id: "owner-main" });
  // The agent learns that the proxy listens as it goes on, when half of these stand in its own queue.
  const asks = withoutAgent(`sleep 1; for i in $(seq 40); do ${ASK_WITHOUT_PROXY} & done; sleep 1`);
  const { stdout, stderr } = await run(sandbox, `${ASK}; ${asks}; wait`);
  expect(stderr.text).toBe("");
  expect(stdout.text).toBe("owner-main\n".repeat(41));
});

test("where the machine gives no port below 1024, the direct way leads to the names at port 9222", async () => {
  await using egress = await startEgress();
  await using sandboxes = await startLocalSandboxes({ egressSocket: egress.socketPath, hasLowPorts: false });
  const sandbox = sandboxes.open({ id: "owner-main" });
  const ask = "curl -sS -m 20 --noproxy '*' http://pincer.internal:9222/mcp";
  expect((await run(sandbox, ask)).stdout.text).toBe("owner-main\n");
  // As an ordinary user nobody can enter the network of such a sandbox: there all goes on by way of the agent.
  if (process.getuid?.() === 0)
    await expect.poll(async () => await saidWithoutAgent(sandbox, ask.replace("-m 20", "-m 1"))).toBe("owner-main\n");
  expect((await run(sandbox, ask)).stdout.text).toBe("owner-main\n");
});

const CROWD = `import socket, time
def count(way, much):
    socks = []
    for _ in range(much):
        s = socket.socket(socket.AF_UNIX if isinstance(way, str) else socket.AF_INET)
        s.connect(way)
        socks.append(s)
    return socks
socks = count(("127.0.0.1", 3128), 150) + count("/run/egress.sock", 150)
def alive(s):
    s.setblocking(False)
    try:
        return s.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
for _ in range(50):
    time.sleep(0.4)
    left = sum(alive(s) for s in socks)
    if left <= 256:
        break
print(left)`;

test("both ways together take no more connections than one sandbox may have, and leave room for others", async () => {
  await using egress = await startEgress();
  await using sandboxes = await startLocalSandboxes({ egressSocket: egress.socketPath });
  const [mine, other] = [sandboxes.open({ id: "owner-mine" }), sandboxes.open({ id: "other-main" })];
  await goneOut(mine, "owner-mine\n");
  await mine.writeFile("crowd.py", new TextEncoder().encode(CROWD));
  const crowd = run(mine, "python3 crowd.py");
  expect((await run(other, ASK)).stdout.text).toBe("other-main\n");
  const alive = Number((await crowd).stdout.text);
  expect(alive).toBeLessThanOrEqual(256);
  // What came before may not have gone yet.
  expect(alive).toBeGreaterThan(200);
});

test("nothing listens for a sandbox that has ended, nor where the runtime was killed, and a new one goes out", async () => {
  await using egress = await startEgress();
  const before = listening();
  const dataDir = await mkdtemp(join(tmpdir(), "pincer-sandbox-"));
  const secret = "s".repeat(40);
  const start = async () => {
    const { child, url } = await startRuntimeChild({ dataDir, secret, egressSocket: egress.socketPath });
    return { child, sandbox: createDriverWithoutSnapshots({ runtimeUrl: url, secret }, fetch).open("x", mapFiles()) };
  };
  const first = await start();
  await goneOut(first.sandbox, "x\n");
  await expect.poll(listening).toBe(before + 2);
  await first.sandbox.sleep();
  await expect.poll(listening).toBe(before);
  await goneOut(first.sandbox, "x\n");
  first.child.kill("SIGKILL");
  await once(first.child, "exit");
  await expect.poll(listening).toBe(before);
  const second = await start();
  await goneOut(second.sandbox, "x\n");
  second.child.kill("SIGKILL");
  await once(second.child, "exit");
  await expect.poll(async () => await rm(dataDir, { recursive: true, force: true }).then(() => "gone")).toBe("gone");
});

test("where the proxy ends, the agent listens again, until a new proxy has been found", async () => {
  await using egress = await startEgress();
  await using sandboxes = await startLocalSandboxes({ egressSocket: egress.socketPath });
  const sandbox = sandboxes.open({ id: "owner-main" });
  await goneOut(sandbox, "owner-main\n");
  await egress.restart();
  await expect.poll(async () => (await run(sandbox, ASK)).stdout.text).toBe("owner-main\n");
  await goneOut(sandbox, "owner-main\n");
});

test("an order to listen in what is no network ends, and nothing listens", async () => {
  await using egress = await startEgress();
  const before = listening();
  const order = connect(egress.socketPath);
  order.write(`owner-main 80 /proc/${process.pid}/fd/0\n`);
  order.resume();
  await once(order, "close");
  expect(listening()).toBe(before);
});

/** How many sockets this process, which the proxy is in, has been handed and waits for something at. */
function listening(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === "TCPSocketWrap").length;
}
