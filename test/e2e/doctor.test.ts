import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { readSuite } from "../../container/local/running-suite.ts";
import { startDeployedSuite } from "../support/deployed-suite.ts";
import { readDoctor, runDoctor } from "../support/doctor.ts";
import { sharedSuite, startSuite } from "../support/suite.ts";

const LOCAL = path.resolve(import.meta.dirname, "../../container/local");

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "pincer-doctors-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function newPlace(): Promise<string> {
  return path.join(await mkdtemp(path.join(folder, "place-")), "data");
}

const addressSchema = z.object({ port: z.int() });

describe("on this machine", () => {
  test("a fresh data folder: each thing is looked at, a line each, and nothing is made", async () => {
    const dataDir = await newPlace();
    const { code, stdout, stderr } = await runDoctor(["--data", dataDir, "--port", "0"]);
    expect([code, stderr]).toEqual([0, ""]);
    const names = [...stdout.matchAll(/^ {2}(ok|warning|off) +(\S.*?) {2,}\S/gm)].map(([, , name]) => name);
    expect(names).toEqual([
      ...["Node", "Dependencies", "System packages", "Sandbox driver", "Browser"],
      ...["Data folder", "Disk", "Port", "Settings"],
    ]);
    expect(stdout).toContain("No suite runs on that data folder: npm start starts one.");
    expect(stdout).toMatch(/\nNothing is broken; \d+ warnings?\.\n$/);
    // No terminal, no colours.
    expect(stdout).not.toContain("\u001B");
    expect(await readdir(path.dirname(dataDir))).toEqual([]);
  });

  test("with the suite running: its own checks too, and no secret of it", async () => {
    const { url, dataDir } = sharedSuite();
    const { adminSecret } = await readSuite(dataDir);
    const secrets = z.object({ signingSecret: z.string() });
    const { signingSecret } = secrets.parse(JSON.parse(await readFile(path.join(dataDir, "secrets.json"), "utf8")));
    const { code, stdout, stderr } = await runDoctor(["--data", dataDir]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain(`The suite at ${url}\n`);
    for (const name of ["R2 bucket FILES", "KV namespace OAUTH_KV", "Durable Object Account", "Sandbox driver"]) {
      expect(stdout).toMatch(new RegExp(`^  ok +${name}  `, "m"));
    }
    expect(stdout).toMatch(/^ {2}ok +Browser +A Chrome starts and ends\.$/m);
    expect(stdout).toMatch(/^ {2}ok +Port +The suite has \d+\.$/m);
    expect(stdout).toMatch(/^ {2}Pincer \d+\.\d+\.\d+ · MCP 2026-07-28, 2025-11-25/m);
    for (const secret of [adminSecret, signingSecret]) expect(stdout).not.toContain(secret);
    expect(stdout).not.toMatch(/pincer_\w/);
  });

  test("with the suite stopped, or killed: what is there is sound, and none runs", async () => {
    await using suite = await startSuite();
    const { dataDir } = suite;
    const announced = await readFile(path.join(dataDir, "suite.json"), "utf8");
    suite.process.kill("SIGTERM");
    await new Promise((resolve) => suite.process.once("close", resolve));
    for (const isKilled of [false, true]) {
      if (isKilled) await writeFile(path.join(dataDir, "suite.json"), announced);
      const { code, ok, machine, suite: examined } = await readDoctor(["--data", dataDir, "--port", "0"]);
      expect([code, ok, examined]).toEqual([0, true, undefined]);
      expect(machine["Data folder"]).toMatchObject({ state: "ok", says: `${dataDir} is sound.` });
    }
  });

  test("settings that npm start would refuse are broken, in its words and without their values", async () => {
    const environment = { FILES_QUOTA_MB: "plenty", AI_GATEWAY_ID: "only-this" };
    const { code, machine } = await readDoctor(["--data", await newPlace(), "--port", "0"], environment);
    expect(code).toBe(1);
    expect(machine["Settings"]?.state).toBe("broken");
    expect(machine["Settings"]?.says).toMatch(/FILES_QUOTA_MB.*Correct that in the environment or in \.dev\.vars\.$/);
    expect(JSON.stringify(machine)).not.toContain("plenty");
  });

  test("a port that is taken is told, with whose it is", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = addressSchema.parse(server.address());
    const { code, machine } = await readDoctor(["--data", await newPlace(), "--port", String(port)]);
    await new Promise((resolve) => server.close(resolve));
    expect(code).toBe(1);
    expect(machine["Port"]).toMatchObject({ state: "broken", says: expect.stringContaining(`${port} is taken`) });
    expect(machine["Port"]?.todo).toMatch(new RegExp(`^It is .+ \\(process ${process.pid}\\)\\.$`));
  });

  test("a folder of something else, and a damaged one, are broken and stay as they are", async () => {
    const foreign = await mkdtemp(path.join(folder, "foreign-"));
    await writeFile(path.join(foreign, "thesis.txt"), "mine");
    const damaged = await mkdtemp(path.join(folder, "damaged-"));
    await writeFile(path.join(damaged, "suite.lock"), "");
    await writeFile(path.join(damaged, "secrets.json"), "{");
    const other = await readDoctor(["--data", foreign, "--port", "0"]);
    expect(other.machine["Data folder"]).toMatchObject({
      state: "broken",
      says: expect.stringContaining("something else"),
    });
    const broken = await readDoctor(["--data", damaged, "--port", "0"]);
    expect(broken.machine["Data folder"]).toMatchObject({
      state: "broken",
      says: expect.stringContaining("is damaged"),
    });
    expect([other.code, broken.code]).toEqual([1, 1]);
    expect(await readdir(foreign)).toEqual(["thesis.txt"]);
    expect(await readFile(path.join(damaged, "secrets.json"), "utf8")).toBe("{");
  });

  test("without bubblewrap the driver is simulated, which is a warning that says what to do", async () => {
    const bin = await mkdtemp(path.join(folder, "bin-"));
    await writeFile(path.join(bin, "bwrap"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    const environment = { PATH: `${bin}:${process.env["PATH"] ?? ""}` };
    const { code, machine } = await readDoctor(["--data", await newPlace(), "--port", "0"], environment);
    expect(code).toBe(0);
    expect(machine["Sandbox driver"]).toMatchObject({ state: "warning", todo: expect.stringContaining("bubblewrap") });
  });

  test("without dependencies it says so in one line, and installs none", async () => {
    const root = await mkdtemp(path.join(folder, "bare-"));
    await mkdir(path.join(root, "container/local"), { recursive: true });
    for (const name of ["bootstrap.mjs", "doctor.mjs", "lifeline.mjs"]) {
      await cp(path.join(LOCAL, name), path.join(root, "container/local", name));
    }
    await writeFile(path.join(root, "package-lock.json"), JSON.stringify({ packages: {} }));
    const script = path.join(root, "container/local/doctor.mjs");
    const { code, stdout, stderr } = await runDoctor([], {}, script);
    expect([code, stderr]).toEqual([1, ""]);
    expect(stdout).toMatch(/^broken {2}Dependencies {2}They are missing.*\n +→ npm start installs them/);
    expect(await readdir(root)).toEqual(["container", "package-lock.json"]);
  });

  test.each([
    [["--token", "pincer_x"], /^Unknown option '--token'; npm run doctor -- --help lists the options\.$/],
    [["--port", "many"], /^--port many is no port/],
    [["--url", "pincer"], /^--url is no address/],
    [["--url", "http://pincer.example.com"], /^--url would show the token to the network/],
    [["--url", "https://pincer.example.com"], /^Sign in at https:\/\/pincer\.example\.com\/account .* PINCER_TOKEN\.$/],
  ])("%j is refused in a sentence", async (args, sentence) => {
    const { code, stdout, stderr } = await runDoctor(args, { PINCER_TOKEN: "" });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr.trim()).toMatch(sentence);
  });
});

describe("by its URL", () => {
  test("an admin's token shows what the suite finds, and nothing of this machine", async () => {
    const suite = sharedSuite();
    const environment = { PINCER_TOKEN: await suite.token(["admin"]) };
    const { code, machine, suite: examined } = await readDoctor(["--url", suite.url], environment);
    expect(examined?.checks.filter(({ state }) => state === "broken")).toEqual([]);
    expect([code, machine, examined?.url]).toEqual([0, {}, suite.url]);
    expect(examined?.found["R2 bucket SNAPSHOTS"]?.state).toBe("ok");
  });

  test("a token that is not an admin's, or none of this suite, is told as that", async () => {
    const suite = sharedSuite();
    for (const [token, says] of [
      [await suite.token(["files:read"]), "The token lacks the scope admin"],
      ["pincer_nonsense", "The token is unknown"],
    ] as const) {
      const { code, suite: examined } = await readDoctor(["--url", suite.url], { PINCER_TOKEN: token });
      expect(code).toBe(1);
      expect(examined?.checks).toMatchObject([{ name: "Token", state: "broken", says: expect.stringContaining(says) }]);
      expect(JSON.stringify(examined)).not.toContain(token);
    }
  });

  test("a Worker whose settings are wrong is told in the words of its settings page", async () => {
    await using suite = await startDeployedSuite(async () => ({ IDENTITY: "access-oidc" }));
    const { code, suite: examined } = await readDoctor(["--url", suite.url], { PINCER_TOKEN: "pincer_any" });
    expect(code).toBe(1);
    const says = "ACCESS_OIDC_CLIENT_ID is missing while IDENTITY is access-oidc.";
    expect(examined?.checks).toMatchObject([{ name: "Settings", says: expect.stringContaining(says) }]);
    const page = await fetch(suite.url, { headers: { Accept: "text/html" } });
    expect(await page.text()).toContain(says);
  });

  test("what answers in Pincer's place, or not at all, is told, and no token goes on from there", async () => {
    const asked: (string | undefined)[] = [];
    await using elsewhere = await startStandIn((url) => {
      asked.push(url);
      return { status: 200 };
    });
    await using access = await startStandIn(() => ({ status: 302, location: elsewhere.url }));
    await using other = await startStandIn(() => ({ status: 200, body: "<html>" }));
    for (const [url, says] of [
      [access.url, "Something in front of it answers in its place, and wants a sign-in."],
      [other.url, "It is a Pincer that cannot tell yet, or something else."],
      ["http://127.0.0.1:9", "Nothing answers there."],
    ] as const) {
      const { code, suite: examined } = await readDoctor(["--url", url], { PINCER_TOKEN: "pincer_any" });
      expect([code, examined?.checks[0]?.says]).toEqual([1, says]);
    }
    expect(asked).toEqual([]);
  });
});

interface StandIn extends AsyncDisposable {
  readonly url: string;
}

async function startStandIn(
  answer: (url: string | undefined) => { status: number; location?: string; body?: string },
): Promise<StandIn> {
  const server = createHttpServer((request, response) => {
    const { status, location, body = "" } = answer(request.url);
    response.writeHead(status, location === undefined ? {} : { location }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${addressSchema.parse(server.address()).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
