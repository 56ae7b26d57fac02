import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join, normalize } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createAuthority } from "../../container/local/egress/authority.ts";
import { serve, startTestProxy } from "../egress/loopback.ts";
import { run, startLocalSandboxes } from "./local-sandboxes.ts";

const OUTSIDE = "93.184.216.34";
const SECRET = "Bearer key-that-nobody-inside-may-see";
/** Finds the secret without being it. */
const PATTERN = "key-that-n[o]body";
const worldAuthority = await createAuthority("Test world");
const certificate = await worldAuthority.issue("api.test");

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "secrets-"));
  const git = async (...args: string[]) => await promisify(execFile)("git", args, { cwd: folder });
  await git("init", "-q", "work");
  await writeFile(join(folder, "work/README"), "cloned\n");
  await git("-C", "work", "add", ".");
  await git("-C", "work", "-c", "user.name=t", "-c", "user.email=t@t.invalid", "commit", "-qm", "First");
  await git("clone", "-q", "--bare", "work", "repository.git");
  await git("-C", "repository.git", "update-server-info");
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** Answers, and gives away the repository, to whoever shows the secret. */
const answerKeyHolders: RequestListener = (request, response) => {
  const { pathname } = new URL(request.url ?? "", "https://api.test");
  if (request.headers.authorization !== SECRET) response.writeHead(401).end("Who are you?\n");
  else if (!pathname.startsWith("/repository.git/")) response.end("welcome\n");
  else {
    readFile(join(folder, normalize(pathname))).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  }
};

/** A sandbox whose requests to `api.test` carry the secret. */
async function startWorld() {
  const api = await serve(answerKeyHolders, certificate);
  const egress = await startTestProxy({
    mode: "sandbox",
    allowedHosts: ["api.test", "other.test"],
    names: { "api.test": [[OUTSIDE]], "other.test": [[OUTSIDE]] },
    world: { [`${OUTSIDE}:443`]: api.port },
    secrets: [{ host: "api.test", port: 443, headers: { authorization: SECRET } }],
    roots: [worldAuthority.certificate],
  });
  const { socketPath: egressSocket, caBundle } = egress.proxy;
  if (caBundle === undefined) throw new Error("The proxy has no certificates.");
  const sandboxes = await startLocalSandboxes({ egressSocket, caBundle });
  return {
    ...{ api, egress, sandboxes },
    [Symbol.asyncDispose]: async () => {
      for (const each of [sandboxes, egress, api]) await each[Symbol.asyncDispose]();
    },
  };
}

describe("a host's secret is added to what a program in the sandbox asks", () => {
  const url = "https://api.test/hello";
  test.for([
    ["curl", "curl", `curl -sS ${url}`, "welcome\n"],
    ["wget", "wget", `wget -qO- ${url}`, "welcome\n"],
    ["git", "git", "git clone -q https://api.test/repository.git && cat repository/README", "cloned\n"],
    [
      "node",
      "node",
      `node -e 'fetch("${url}").then((r) => r.text()).then((t) => process.stdout.write(t))'`,
      "welcome\n",
    ],
    [
      "Python's urllib",
      "python3",
      `python3 -c 'import urllib.request as u; print(u.urlopen("${url}").read().decode(), end="")'`,
      "welcome\n",
    ],
    [
      "requests",
      "python3 -c 'import requests'",
      `python3 -c 'import requests; print(requests.get("${url}").text, end="")'`,
      "welcome\n",
    ],
    [
      "openssl",
      "openssl",
      "printf 'GET / HTTP/1.0\\r\\nHost: api.test\\r\\n\\r\\n' | openssl s_client -proxy 127.0.0.1:3128 -connect api.test:443 -servername api.test -verify_return_error -quiet 2> /dev/null | tail -1",
      "welcome\n",
    ],
  ] as const)("by %s", async ([, needed, command, output], { skip }) => {
    await using world = await startWorld();
    const sandbox = world.sandboxes.open();
    const probe = needed.includes(" ") ? needed : `command -v ${needed}`;
    const { exitCode } = await run(sandbox, `${probe} > /dev/null 2>&1`);
    skip(exitCode !== 0, `there is no ${needed} in the sandbox of this machine`);
    const result = await run(sandbox, command);
    expect([result.stdout.text, result.stderr.text, result.exitCode]).toEqual([output, "", 0]);
    expect(world.egress.dialled.length).toBeGreaterThan(0);
  });
});

test("nothing in the sandbox, and nothing that is logged, shows the secret", async () => {
  await using world = await startWorld();
  const sandbox = world.sandboxes.open();
  const asked = await run(
    sandbox,
    "curl -sSv -H 'Authorization: Bearer mine' https://api.test/; sleep 60 > /dev/null 2>&1 &",
  );
  expect(asked.stdout.text).toBe("welcome\n");
  const found = await run(
    sandbox,
    [
      `printenv | grep -i '${PATTERN}'`,
      `cat /proc/*/environ | tr '\\0' '\\n' | grep -i '${PATTERN}'`,
      `cat /proc/*/cmdline | tr '\\0' '\\n' | grep -i '${PATTERN}'`,
      `grep -rsl '${PATTERN}' /etc /opt /run /tmp /workspace /var`,
      "grep -rsl 'PRIVATE [K]EY' /etc/ca-bundle.pem /run /tmp /workspace /var",
    ].join("; "),
  );
  expect(found.stdout.text).toBe("");
  const said = [asked, found].flatMap(({ stdout, stderr }) => [stdout.text, stderr.text]);
  expect([...said, ...world.sandboxes.logged, ...world.egress.logged].join("\n")).not.toContain(SECRET);
  const look = promisify(execFile)("grep", ["-rl", SECRET, world.sandboxes.dataDir]);
  // Where it has looked at everything and found nothing.
  await expect(look).rejects.toMatchObject({ code: 1, stdout: "" });
});

test("without secrets programs trust what the machine does, also after a start with some", async () => {
  await using world = await startWorld();
  const { dataDir } = world.sandboxes;
  const variables = "printenv | grep -E 'CERT|CA_|CAINFO' | sort";
  const before = await run(world.sandboxes.open(), `${variables}; ls /etc/ca-bundle.pem`);
  expect(before.stdout.text.split("\n")).toEqual([
    "CURL_CA_BUNDLE=/etc/ca-bundle.pem",
    "GIT_SSL_CAINFO=/etc/ca-bundle.pem",
    "NODE_EXTRA_CA_CERTS=/etc/ca-bundle.pem",
    "PIP_CERT=/etc/ca-bundle.pem",
    "REQUESTS_CA_BUNDLE=/etc/ca-bundle.pem",
    "SSL_CERT_FILE=/etc/ca-bundle.pem",
    "/etc/ca-bundle.pem",
    "",
  ]);
  await using later = await startLocalSandboxes({ dataDir, egressSocket: world.egress.proxy.socketPath });
  const after = await run(later.open(), `${variables}; ls /etc/ca-bundle.pem`);
  expect(after.stdout.text).toBe("");
});
