import { once } from "node:events";
import { readFile, readdir, readlink, stat } from "node:fs/promises";
import { type IncomingMessage, get } from "node:http";
import { dirname } from "node:path";
import { text } from "node:stream/consumers";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { expect, test } from "vitest";
import { readSuite } from "../../container/local/running-suite.ts";
import { filesPrefix } from "../../servers/shared/paths.ts";
import { commandOf, treeOf } from "../egress/processes.ts";
import { sharedSuite } from "../support/suite.ts";

/* What another user of the machine, who can reach every loopback port, gets from a running suite. */

const BUCKET = "pincer-files";

/** The TCP ports on which any process of the suite listens. */
async function portsOf(pids: readonly number[]): Promise<number[]> {
  const tables = await Promise.all(
    ["tcp", "tcp6"].map(async (name) => await readFile(`/proc/net/${name}`, "latin1").catch(() => "")),
  );
  const rows = tables
    .join("\n")
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  const inodes = new Map(
    rows.filter(([, , , state]) => state === "0A").map((row) => [`socket:[${row[9]}]`, row[1] ?? ""]),
  );
  const links = await Promise.all(
    pids.map(async (pid) => {
      const names = await readdir(`/proc/${pid}/fd`).catch(() => []);
      return await Promise.all(names.map(async (name) => await readlink(`/proc/${pid}/fd/${name}`).catch(() => "")));
    }),
  );
  const addresses = links.flat().flatMap((link) => inodes.get(link) ?? []);
  return [...new Set(addresses.map((address) => Number.parseInt(address.slice(address.lastIndexOf(":") + 1), 16)))];
}

/** Miniflare's own door, a socket that only its owner reaches. */
async function doorOf(pids: readonly number[]): Promise<string> {
  const commands = await Promise.all(pids.map(commandOf));
  const door = /--socket-addr=entry=unix:(\S+)/.exec(commands.join("\n"))?.[1];
  if (door === undefined) throw new Error(`No workerd has a door:\n${commands.join("\n")}`);
  return door;
}

async function askDoor(socketPath: string, path: string): Promise<string> {
  const asked = get({ socketPath, path, agent: false });
  const [response]: IncomingMessage[] = await once(asked, "response", { signal: AbortSignal.timeout(20_000) });
  return response === undefined ? "" : await text(response);
}

test("no loopback port of the suite hands out a file without a token, and the socket that does is its owner's", async () => {
  const { url, dataDir, token } = sharedSuite();
  const client = new Client({ name: "other-users-test", version: "1.0.0" });
  const bearer = await token();
  const requestInit = { headers: { Authorization: `Bearer ${bearer}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", url), { requestInit }));
  await client.callTool({ name: "files_write", arguments: { path: "private.txt", content: "for my eyes only" } });
  await client.close();

  const { pid } = await readSuite(dataDir);
  const openPorts = async (): Promise<number[]> => await portsOf(await treeOf(pid));
  // The local person's id is the same on every machine, and no secret.
  const [, userId = ""] = bearer.split("_");
  // Where Miniflare's own door serves whole buckets (miniflare's CorePaths.R2_PUBLIC).
  const path = `/cdn-cgi/local/r2/public/${BUCKET}/${filesPrefix(userId)}private.txt`;
  const door = await doorOf(await treeOf(pid));
  expect(await askDoor(door, path)).toBe("for my eyes only");
  expect((await stat(dirname(door))).mode & 0o077).toBe(0);

  const ports = await openPorts();
  expect(ports).toContain(Number(new URL(url).port));
  for (const port of ports) {
    const asked = fetch(`http://127.0.0.1:${port}${path}`);
    const answer = asked.then(async (response) => [response.ok, await response.text()] as const);
    // A Chrome of another test may end meanwhile, and its port with it.
    const [isOk, text] = await answer.catch(async (failure: unknown) => {
      if ((await openPorts()).includes(port)) throw failure;
      return [false, ""] as const;
    });
    expect([port, isOk, text]).toEqual([port, false, expect.not.stringContaining("for my eyes only")]);
  }
});
