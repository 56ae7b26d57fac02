import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { isOwnPeer, portOf, startBridge, withoutCompression } from "../../container/local/chrome/bridge.ts";
import { readUntil, serve } from "./loopback.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };
const REQUEST = "GET / HTTP/1.0\r\n\r\n";
const NOBODY = 65_534;

test("a bridge carries what is said at one end to the other, by port and by socket", async () => {
  await using web = await serve((_request, response) => response.end("x".repeat(1_000_000)));
  const folder = await mkdtemp(join(tmpdir(), "bridge-"));
  const path = join(folder, "socket");
  const inner = await startBridge({ path }, { host: "127.0.0.1", port: web.port });
  const outer = await startBridge(LOOPBACK, { path }, isOwnPeer);
  try {
    const socket = connect(portOf(outer), "127.0.0.1");
    socket.write(REQUEST);
    expect((await readUntil(socket, "never")).split("\r\n\r\n")[1]).toHaveLength(1_000_000);
  } finally {
    inner.close();
    outer.close();
    await rm(folder, { recursive: true });
  }
});

test("a bridge takes out the offer to compress a WebSocket, and nothing else", async () => {
  await using web = await serve((request, response) => {
    request.pipe(response.writeHead(200, { "Seen-Headers": request.rawHeaders.join(" ") }));
  });
  const bridge = await startBridge(LOOPBACK, { host: "127.0.0.1", port: web.port }, isOwnPeer, withoutCompression);
  try {
    const socket = connect(portOf(bridge), "127.0.0.1");
    socket.write(
      "POST / HTTP/1.0\r\nHost: a\r\nSec-WebSocket-Extensions: permessage-deflate; x\r\nContent-Length: 8\r\n\r\n",
    );
    socket.write("the");
    setTimeout(() => socket.write(" rest"), 50);
    const answer = await readUntil(socket, "never");
    expect(answer).toContain("Seen-Headers: Host a Content-Length 8\r\n");
    expect(answer.split("\r\n\r\n")[1]).toBe("the rest");
  } finally {
    bridge.close();
  }
});

test("a bridge lets go of a connection that says nothing", async () => {
  await using web = await serve((_request, response) => response.end());
  const bridge = await startBridge(LOOPBACK, { host: "127.0.0.1", port: web.port }, isOwnPeer, withoutCompression);
  try {
    const socket = connect(portOf(bridge), "127.0.0.1");
    socket.end();
    expect(await readUntil(socket, "never")).toBe("");
  } finally {
    bridge.close();
  }
});

test("a bridge whose far end is gone closes, and goes on", async () => {
  const bridge = await startBridge(LOOPBACK, { path: "/nowhere/socket" }, isOwnPeer);
  try {
    for (const _attempt of [1, 2]) {
      const socket = connect(portOf(bridge), "127.0.0.1");
      expect(await readUntil(socket, "never")).toBe("");
    }
  } finally {
    bridge.close();
  }
});

test.skipIf(process.getuid?.() !== 0)(
  "another user of the machine is not let in (needs root, to become one)",
  async () => {
    await using web = await serve((_request, response) => response.end("inside"));
    const bridge = await startBridge(LOOPBACK, { host: "127.0.0.1", port: web.port }, isOwnPeer);
    const ask = async (port: number, ...become: readonly string[]) => {
      const script = `exec 3<>/dev/tcp/127.0.0.1/${port}; printf '${REQUEST}' >&3; cat <&3`;
      return await promisify(execFile)("setpriv", [...become, "bash", "-c", script]).then(
        ({ stdout }) => stdout,
        () => "",
      );
    };
    const asNobody = ["--reuid", `${NOBODY}`, "--regid", `${NOBODY}`, "--clear-groups"];
    try {
      expect(await ask(portOf(bridge), ...asNobody)).toBe("");
      expect(web.seen).toEqual([]);
      expect(await ask(web.port, ...asNobody)).toContain("inside");
      expect(await ask(portOf(bridge), "--no-new-privs")).toContain("inside");
    } finally {
      bridge.close();
    }
  },
);
