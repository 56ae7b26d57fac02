import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { createAuthority } from "../../container/local/egress/authority.ts";
import { serve, startTestProxy } from "../egress/loopback.ts";
import { run, startLocalSandboxes } from "./local-sandboxes.ts";

const OUTSIDE = "93.184.216.34";
const KEY = "Bearer key-of-the-registry";
const WHEEL = "tiny_pincer-1.0.0-py3-none-any.whl";
const worldAuthority = await createAuthority("Test world");
const certificate = await worldAuthority.issue("registry.test");

/** Writes a wheel, which is a zip, with the one module `tiny_pincer`. */
const MAKE_WHEEL = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    wheel.writestr("tiny_pincer.py", "word = 'installed by pip'\\n")
    info = "tiny_pincer-1.0.0.dist-info"
    wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: tiny-pincer\\nVersion: 1.0.0\\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{info}/RECORD", "")
`;

let tarball: Uint8Array = new Uint8Array();
let wheel: Uint8Array = new Uint8Array();
beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), "packages-"));
  await mkdir(join(folder, "package"));
  const manifest = { name: "tiny-pincer", version: "1.0.0", main: "index.js" };
  await writeFile(join(folder, "package/package.json"), JSON.stringify(manifest));
  await writeFile(join(folder, "package/index.js"), "module.exports = 'installed by npm';\n");
  await promisify(execFile)("tar", ["-czf", join(folder, "tiny.tgz"), "-C", folder, "package"]);
  tarball = await readFile(join(folder, "tiny.tgz"));
  await promisify(execFile)("/usr/bin/python3", ["-c", MAKE_WHEEL, join(folder, WHEEL)]);
  wheel = await readFile(join(folder, WHEEL));
  await rm(folder, { recursive: true });
});

/** A registry for npm and an index for pip, with one package each. */
const answerRegistry =
  (origin: string): RequestListener =>
  (request, response) => {
    const integrity = `sha512-${createHash("sha512").update(tarball).digest("base64")}`;
    const dist = { tarball: `${origin}/tiny-pincer/-/tiny-pincer-1.0.0.tgz`, integrity };
    const versions = { "1.0.0": { name: "tiny-pincer", version: "1.0.0", dist } };
    const answers: Record<string, string | Uint8Array> = {
      "/tiny-pincer": JSON.stringify({ name: "tiny-pincer", "dist-tags": { latest: "1.0.0" }, versions }),
      "/tiny-pincer/-/tiny-pincer-1.0.0.tgz": tarball,
      "/simple/tiny-pincer/": `<a href="/wheels/${WHEEL}">${WHEEL}</a>`,
      [`/wheels/${WHEEL}`]: wheel,
    };
    const answer = answers[request.url ?? ""];
    if (origin.startsWith("https:") && request.headers.authorization !== KEY) response.writeHead(401).end();
    else if (answer === undefined) response.writeHead(404).end();
    else
      response
        .setHeader("content-type", typeof answer === "string" ? typeOf(answer) : "application/octet-stream")
        .end(answer);
  };

function typeOf(text: string): string {
  return text.startsWith("{") ? "application/json" : "text/html";
}

/** What takes seconds takes many where other files take the machine. */
const PATIENTLY = { timeoutMs: 50_000, waitMs: 50_000 };

/** `registry.test` on port 80, or on 443 for whoever shows the key, and the sandboxes that may reach it. */
async function startWorld(scheme: "http" | "https") {
  const registry = await serve(
    answerRegistry(`${scheme}://registry.test`),
    scheme === "https" ? certificate : undefined,
  );
  const egress = await startTestProxy({
    mode: "sandbox",
    allowedHosts: ["registry.test"],
    names: { "registry.test": [[OUTSIDE]], "other.test": [[OUTSIDE]] },
    world: { [`${OUTSIDE}:${scheme === "https" ? 443 : 80}`]: registry.port },
    ...(scheme === "https" && {
      secrets: [{ host: "registry.test", port: 443, headers: { authorization: KEY } }],
      roots: [worldAuthority.certificate],
    }),
  });
  const { socketPath: egressSocket, caBundle } = egress.proxy;
  const sandboxes = await startLocalSandboxes({ egressSocket, ...(caBundle !== undefined && { caBundle }) });
  return {
    ...{ egress, sandboxes },
    [Symbol.asyncDispose]: async () => {
      for (const each of [sandboxes, egress, registry]) await each[Symbol.asyncDispose]();
    },
  };
}

describe.each(["http", "https"] as const)("from an allowed registry by %s", (scheme) => {
  test("npm installs a package", async ({ skip }) => {
    await using world = await startWorld(scheme);
    const sandbox = world.sandboxes.open();
    skip((await run(sandbox, "npm --version")).exitCode !== 0, "there is no npm in the sandbox of this machine");
    const result = await run(
      sandbox,
      `npm install --registry ${scheme}://registry.test tiny-pincer && node -p 'require("tiny-pincer")'`,
      PATIENTLY,
    );
    expect([result.exitCode, result.stderr.text]).toEqual([0, ""]);
    expect(result.stdout.text).toMatch(/added 1 package[^]*\ninstalled by npm\n$/);
    expect(world.egress.dialled).toContain(`${OUTSIDE}:${scheme === "https" ? 443 : 80}`);
  });

  test("pip installs a package", async ({ skip }) => {
    await using world = await startWorld(scheme);
    const sandbox = world.sandboxes.open();
    const { exitCode } = await run(sandbox, "python3 -m pip --version");
    skip(exitCode !== 0, "there is no pip in the sandbox of this machine");
    const trust = scheme === "http" ? "--trusted-host registry.test" : "";
    const result = await run(
      sandbox,
      `python3 -m pip install ${trust} --index-url ${scheme}://registry.test/simple/ tiny-pincer && python3 -c 'import tiny_pincer; print(tiny_pincer.word)'`,
      PATIENTLY,
    );
    expect([result.exitCode, result.stderr.text]).toEqual([0, expect.not.stringMatching(/error/i)]);
    expect(result.stdout.text).toMatch(/Successfully installed tiny-pincer-1\.0\.0\ninstalled by pip\n$/);
  });
});

test.for([
  ["npm", "npm install --fetch-retries=0 --registry https://other.test tiny-pincer"],
  ["python3 -m pip", "python3 -m pip install --retries 0 --index-url https://other.test/simple/ tiny-pincer"],
] as const)("a registry that is not allowed is refused to %s", async ([program, command], { skip }) => {
  await using world = await startWorld("http");
  const sandbox = world.sandboxes.open();
  skip((await run(sandbox, `${program} --version`)).exitCode !== 0, `there is no ${program} in the sandbox`);
  expect((await run(sandbox, command, PATIENTLY)).exitCode).toBeGreaterThan(0);
  expect(world.egress.logged).toContain("egress sandbox: refused CONNECT other.test:443");
  expect(world.egress.dialled).toEqual([]);
});
