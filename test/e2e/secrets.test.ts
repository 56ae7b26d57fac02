import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { expect, test } from "vitest";
import * as z from "zod";
import { createAuthority } from "../../container/local/egress/authority.ts";
import { serve } from "../egress/loopback.ts";
import { commandOf, treeOf } from "../egress/processes.ts";
import { type OwnSuite, spawnSuite, startSuite } from "../support/suite.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const SECRET = "Bearer key-that-only-the-launcher-holds";
/** Loopback, and not one of the names that programs ask without the proxy. */
const HOST = "127.0.0.2";

const grepFailure = z.object({ stdout: z.string() });

async function execInSandbox(suite: OwnSuite, command: string): Promise<unknown> {
  const client = new Client({ name: "secrets-test", version: "1.0.0" });
  const requestInit = { headers: { Authorization: `Bearer ${await suite.token()}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL("/mcp/sandbox", suite.url), { requestInit }));
  const { structuredContent } = await client.callTool({ name: "sandbox_exec", arguments: { command } });
  await client.close();
  return structuredContent;
}

test("a suite adds a host's secret outside the sandbox, and no process, file or log of it shows the secret", async () => {
  const authority = await createAuthority("Test world");
  const folder = await mkdtemp(path.join(tmpdir(), "pincer-secrets-"));
  const authorityFile = path.join(folder, "authority.pem");
  await writeFile(authorityFile, authority.certificate);
  const answer = (isKnown: boolean) => (isKnown ? "welcome" : "who are you?");
  await using api = await serve(
    (request, response) => response.end(answer(request.headers.authorization === SECRET)),
    await authority.issue(HOST),
    HOST,
  );
  await using model = await serve((_request, response) => response.end("model"), undefined, HOST);
  await using suite = await startSuite(["--allow-host", `${HOST}:${api.port}`], {
    NODE_EXTRA_CA_CERTS: authorityFile,
    SANDBOX_SECRETS: JSON.stringify({ [`${HOST}:${api.port}`]: { authorization: "SECRET_EXAMPLE" } }),
    SECRET_EXAMPLE: SECRET,
    MODEL_BASE_URL: `http://${HOST}:${model.port}/v1`,
    MODEL_API_KEY: SECRET,
  });

  const asked = await execInSandbox(
    suite,
    `curl -sS https://${HOST}:${api.port}/; printenv; sleep 100 > /dev/null 2>&1 &`,
  );
  expect(asked).toMatchObject({ exit_code: 0, stdout: expect.stringMatching(/^welcome[^]*CURL_CA_BUNDLE=/) });
  expect(JSON.stringify(asked)).not.toContain(SECRET);
  expect(await execInSandbox(suite, `curl -sS http://${HOST}:${model.port}/v1/models`)).toMatchObject({
    stdout: `${HOST} is a loopback address; to open it, start Pincer with --allow-host ${HOST}:${model.port} (in a deployment, list it in ALLOWED_HOSTS).\n`,
  });
  expect(model.seen).toEqual([]);

  const tree = await treeOf(suite.process.pid ?? 0);
  const commands = await Promise.all(tree.map(commandOf));
  expect(commands.join("\n")).not.toContain("key-that-only");
  const holders = commands.filter((command) => /start\.mjs|launch\/launch\.ts/.test(command));
  expect(holders).toHaveLength(2);
  const others = tree.filter((_pid, at) => !holders.includes(commands[at] ?? ""));
  expect(others.length).toBeGreaterThan(4);
  // Those of the sandbox are not ours to read.
  const environments = await Promise.all(
    others.map(async (pid) => await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "")),
  );
  expect(environments.filter((text) => text.includes("PATH=")).length).toBeGreaterThan(2);
  expect(environments.join("\n")).not.toContain("key-that-only");
  // Chrome brings keys of its own. Where zero bytes end a line, the holes of a sandbox's disk of 8 GB are not read.
  const kept = [suite.dataDir, path.join(ROOT, "node_modules/.cache/pincer-worker"), folder];
  const search = ["-rlazE", "--exclude-dir=chrome", "BEGIN PRIVATE KEY|key-that-only", ...kept];
  const control = path.join(suite.dataDir, "control");
  await writeFile(control, "key-that-only a test put there");
  // It fails where a file has gone before it was read, and says what it has found all the same.
  const found = await promisify(execFile)("grep", search).catch((failure: unknown) => grepFailure.parse(failure));
  expect(found.stdout).toBe(`${control}\n`);
  expect(suite.output()).not.toContain(SECRET);
  await rm(folder, { recursive: true });
});

test("a suite whose secrets are for a host that is not allowed does not start, and says so without them", async () => {
  const dataDir = await mkdtemp(path.join(tmpdir(), "pincer-secrets-"));
  const suite = spawnSuite(["--data", dataDir], {
    SANDBOX_SECRETS: JSON.stringify({ "api.example.com": { authorization: "SECRET_EXAMPLE" } }),
    SECRET_EXAMPLE: SECRET,
  });
  expect(await suite.ended).toBe(1);
  expect(suite.output().trim()).toBe(
    "Settings are wrong: SANDBOX_SECRETS names api.example.com:443, which the sandbox may not reach; list it in ALLOWED_HOSTS (locally by --allow-host). " +
      "Correct that in the environment or in .dev.vars.",
  );
  await rm(dataDir, { recursive: true });
});
