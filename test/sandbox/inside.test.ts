import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { INSIDE_SANDBOX, INSIDE_SECRET } from "../../servers/shared/inside-hosts.ts";
import type { RuntimeOptions } from "../../container/local/runtime.ts";
import type { Sandbox } from "../../servers/sandbox/driver.ts";
import { serve, startTestProxy } from "../egress/loopback.ts";
import { createDriverWithoutSnapshots } from "../support/no-snapshots.ts";
import { mapFiles } from "./map-files.ts";
import { machineProcesses, startRuntimeChild } from "./runtime-child.ts";
import { run, startLocalSandboxes } from "./local-sandboxes.ts";

const SECRET = "secret-that-nobody-inside-may-see";
/** Nothing else of the machine sleeps for just as long. */
const NAP = `${process.pid}7.25`;
/** Finds the secret without being it. */
const PATTERN = "secret-that-n[o]body";

/** Sandboxes, their egress proxy, and a suite that says what it was asked, as whom. */
async function startWorld(options: Partial<RuntimeOptions> = {}) {
  const suite = await serve((request, response) => {
    const { host, [INSIDE_SECRET]: secret, [INSIDE_SANDBOX]: sandbox } = request.headers;
    response.end(`${secret === SECRET ? String(sandbox) : "a stranger"} ${request.method} ${host}${request.url}\n`);
  });
  suite.server.on("upgrade", (request, socket) => {
    const accept = createHash("sha1")
      .update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest("base64");
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    const said = `${String(request.headers[INSIDE_SANDBOX])} ${request.headers.host}`;
    socket.write(Uint8Array.from([0x81, said.length, ...new TextEncoder().encode(said)]));
  });
  const egress = await startTestProxy({
    mode: "sandbox",
    suiteOrigin: `http://localhost:${suite.port}`,
    names: { localhost: [["127.0.0.1"]] },
    insideSecret: SECRET,
  });
  const sandboxes = await startLocalSandboxes({ egressSocket: egress.proxy.socketPath, ...options });
  return {
    ...{ suite, egress, sandboxes },
    [Symbol.asyncDispose]: async () => {
      for (const each of [sandboxes, egress, suite]) await each[Symbol.asyncDispose]();
    },
  };
}

async function said(sandbox: Sandbox, command: string): Promise<string> {
  const { stdout, stderr } = await run(sandbox, command);
  return stdout.text + stderr.text;
}

const RAW = `import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
s.sendall(sys.argv[3].encode().decode("unicode_escape").encode())
print(b"".join(iter(lambda: s.recv(65536), b"")).decode())`;

const UNIX = RAW.replace(
  "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))",
  's = socket.socket(socket.AF_UNIX); s.connect("/run/egress.sock")',
);

test("programs reach the names by the proxy's three ways and without it, as the sandbox that they run in", async () => {
  await using world = await startWorld();
  const sandbox = world.sandboxes.open({ id: "owner-main" });
  await sandbox.writeFile("raw.py", new TextEncoder().encode(RAW));
  const url = "http://pincer.internal/mcp?servers=files";
  const answer = "owner-main GET pincer.internal/mcp?servers=files\n";
  expect(await said(sandbox, `curl -sS ${url}`)).toBe(answer);
  expect(await said(sandbox, `curl -sS --proxytunnel ${url}`)).toBe(answer);
  expect(await said(sandbox, `curl -sS --noproxy '*' ${url}`)).toBe(answer);
  const node = `fetch("${url}").then((r) => r.text()).then((t) => process.stdout.write(t))`;
  expect(await said(sandbox, `node -e '${node}'`)).toBe(answer);
  expect(await said(sandbox, `NODE_USE_ENV_PROXY= http_proxy= HTTP_PROXY= node -e '${node}'`)).toBe(answer);
  const python = `import urllib.request as u; print(u.urlopen("${url}").read().decode(), end="")`;
  expect(await said(sandbox, `python3 -c '${python}'`)).toBe(answer);
  const raw = "GET /v1/models HTTP/1.1\\r\\nHost: model.internal\\r\\nConnection: close\\r\\n\\r\\n";
  expect(await said(sandbox, `python3 raw.py model.internal 80 '${raw}'`)).toContain(
    "owner-main GET model.internal/v1/models\n",
  );
  expect(await said(sandbox, `curl -sS -d hello http://model.internal:9222/v1/messages`)).toBe(
    "owner-main POST model.internal:9222/v1/messages\n",
  );
});

test("a WebSocket passes, through the proxy and from a program that knows none", async () => {
  await using world = await startWorld();
  const sandbox = world.sandboxes.open({ id: "owner-main" });
  const listen = `new WebSocket("ws://browser.internal/devtools/browser/1").onmessage = ({ data }) => { console.log(data); process.exit(); }`;
  expect(await said(sandbox, `node -e '${listen}'`)).toBe("owner-main browser.internal\n");
  expect(await said(sandbox, `NODE_USE_ENV_PROXY= http_proxy= HTTP_PROXY= node -e '${listen}'`)).toBe(
    "owner-main browser.internal\n",
  );
});

test("a sandbox cannot speak as another one", async () => {
  await using world = await startWorld();
  const [mine, other] = [world.sandboxes.open({ id: "owner-mine" }), world.sandboxes.open({ id: "other-main" })];
  const headers = [
    `${INSIDE_SANDBOX}: other-main`,
    `${INSIDE_SANDBOX.toUpperCase()}: other-main`,
    `${INSIDE_SECRET}: x`,
  ];
  const asked = `${headers.map((header) => `-H '${header}'`).join(" ")} http://pincer.internal/mcp`;
  const answer = "owner-mine GET pincer.internal/mcp\n";
  for (const way of ["", "--proxytunnel", "--noproxy '*'"]) {
    expect(await said(mine, `curl -sS ${way} ${asked}`), way).toBe(answer);
    expect(await said(mine, `curl -sS ${way} -H 'Connection: ${INSIDE_SANDBOX}' ${asked}`), way).toBe(answer);
  }
  expect(await said(other, "curl -sS http://pincer.internal/mcp")).toBe("other-main GET pincer.internal/mcp\n");
  // The line that the runtime writes means nothing once it has been written.
  await mine.writeFile("unix.py", new TextEncoder().encode(UNIX));
  const line = "other-main 80\\nGET http://pincer.internal/mcp HTTP/1.1\\r\\nHost: pincer.internal\\r\\n\\r\\n";
  expect(await said(mine, `python3 unix.py - 0 '${line}'`)).toMatch(/^HTTP\/1\.1 400 /);
  // Neither do there lie any sockets of others.
  expect(await said(mine, "find /run /tmp /dev /etc -exec test -S {} \\; -print | sort")).toBe(
    "/run/egress.sock\n/run/snapshots.sock\n",
  );
  expect(world.suite.seen.filter(({ headers: seen }) => seen[INSIDE_SANDBOX] === "other-main")).toHaveLength(1);
});

test("no other name, port or protocol leads to the suite", async () => {
  await using world = await startWorld();
  const sandbox = world.sandboxes.open({ id: "owner-main" });
  const urls = [
    "http://other.internal/",
    "http://pincer.internal.test/",
    "http://pincer.internal:8080/",
    "http://pincer.internal@other.test/",
    `http://localhost:${world.suite.port}/mcp`,
    `http://127.0.0.1:${world.suite.port}/mcp`,
  ];
  for (const url of urls) {
    expect(await said(sandbox, `curl -sS --noproxy '' -o /dev/null -w '%{http_code}' ${url}`), url).toBe("403");
  }
  const tls = "curl -sSk https://pincer.internal/mcp";
  expect(await said(sandbox, tls)).toContain("403");
  const hosts = ["localhost", "other.test", `localhost:${world.suite.port}`];
  for (const host of hosts) {
    const direct = `curl -sS --noproxy '*' -o /dev/null -w '%{http_code}' -H 'Host: ${host}' http://pincer.internal/`;
    expect(await said(sandbox, direct), host).toBe("403");
  }
  await sandbox.writeFile("raw.py", new TextEncoder().encode(RAW));
  const heads = [
    "GET http://user@pincer.internal/mcp HTTP/1.1\\r\\nHost: pincer.internal\\r\\n",
    "GET /mcp HTTP/1.1\\r\\nHost: pincer.internal\\r\\nHost: other.test\\r\\n",
  ];
  for (const head of heads) {
    const raw = `python3 raw.py 127.0.0.1 3128 '${head}Connection: close\\r\\n\\r\\n'`;
    expect(await said(sandbox, raw), head).toMatch(/^HTTP\/1\.1 403 /);
  }
  expect(world.suite.seen).toEqual([]);
});

test("in a tunnel to one of the names there is no other tunnel", async () => {
  await using world = await startWorld();
  const sandbox = world.sandboxes.open({ id: "owner-main" });
  await sandbox.writeFile("raw.py", new TextEncoder().encode(RAW));
  const connect = "CONNECT pincer.internal:80 HTTP/1.1\\r\\nHost: pincer.internal:80\\r\\n\\r\\n";
  const heads = (await said(sandbox, `python3 raw.py 127.0.0.1 3128 '${connect}${connect}'`)).match(/^HTTP.*(?=\r)/gm);
  expect(heads).toEqual(["HTTP/1.1 200 Connection Established", "HTTP/1.1 403 Forbidden"]);
});

test("nothing inside shows the secret by which the suite knows its sandboxes", async () => {
  await using world = await startWorld();
  const sandbox = world.sandboxes.open({ id: "owner-main" });
  await run(sandbox, "curl -sS http://pincer.internal/mcp");
  expect(await said(sandbox, `printenv | grep -c '${PATTERN}'`)).toBe("0\n");
  const places = "/proc/*/environ /proc/*/cmdline /etc /run /opt/pincer /workspace /tmp";
  expect(await said(sandbox, `grep -rs '${PATTERN}' ${places} | wc -l`)).toBe("0\n");
});

test("a server of one's own listens where it could before, and at port 80 too", async () => {
  await using world = await startWorld();
  const sandbox = world.sandboxes.open({ id: "owner-main" });
  for (const [address, port] of [
    ["0.0.0.0", 9222],
    ["127.0.0.1", 9222],
    ["0.0.0.0", 8080],
    ["127.0.0.1", 80],
  ]) {
    const code = `import socket; s = socket.socket(); s.bind(("${address}", ${port})); s.listen(); print("listens")`;
    expect(await said(sandbox, `python3 -c '${code}'`), `${address}:${port}`).toBe("listens\n");
  }
});

test("where the machine gives no port below 1024, programs that know no proxy find the names at port 9222", async () => {
  await using world = await startWorld({ hasLowPorts: false });
  const sandbox = world.sandboxes.open({ id: "owner-main" });
  expect(await said(sandbox, "curl -sS --noproxy '*' http://browser.internal:9222/json/version")).toBe(
    "owner-main GET browser.internal:9222/json/version\n",
  );
  // Whoever asks through the proxy is told where those go on.
  for (const way of ["", "--proxytunnel"]) {
    expect(await said(sandbox, `curl -sS ${way} http://browser.internal/json/version`), way).toBe(
      "owner-main GET browser.internal:9222/json/version\n",
    );
  }
});

test("a sandbox that has ended leaves neither its socket nor, where the runtime is killed, a process", async () => {
  await using egress = await startTestProxy({ mode: "sandbox", insideSecret: SECRET });
  const folder = dirname(egress.proxy.socketPath);
  const dataDir = await mkdtemp(join(tmpdir(), "pincer-sandbox-"));
  const secret = "s".repeat(40);
  const { child, url } = await startRuntimeChild({ dataDir, secret, egressSocket: egress.proxy.socketPath });
  try {
    const sandbox = createDriverWithoutSnapshots({ runtimeUrl: url, secret }, fetch).open("x", mapFiles());
    await run(sandbox, "true");
    expect(await readdir(folder)).toHaveLength(2);
    await sandbox.sleep();
    await expect.poll(async () => await readdir(folder)).toEqual(["egress.sock"]);
    await run(sandbox, `nohup sleep ${NAP} > /dev/null 2>&1 &`);
    await expect.poll(async () => await machineProcesses(`sleep\0${NAP}`)).toHaveLength(1);
  } finally {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  await expect.poll(async () => await machineProcesses(`sleep\0${NAP}`)).toEqual([]);
  await expect.poll(async () => await rm(dataDir, { recursive: true, force: true }).then(() => "gone")).toBe("gone");
});

test("a preview of port 80 leads to no name that exists only inside", async () => {
  await using world = await startWorld();
  const sandbox = world.sandboxes.open({ id: "owner-main" });
  await run(sandbox, "true");
  expect(await sandbox.port(80).look()).toBe("closed");
});
