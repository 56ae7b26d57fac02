import { readdir } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { findPort } from "../../container/local/launch/port.ts";
import { requestToken } from "../../container/local/running-suite.ts";
import { prepareBrowser } from "../support/local-browser.ts";
import { LOCAL_SETTINGS } from "../support/local-settings.ts";
import { type ToolClient, connectOfficial, textOf } from "../support/mcp-clients.ts";
import { bringPackages } from "../support/sandbox-packages.ts";
import { type TestGateway, startTestGateway } from "../support/test-gateway.ts";
import { type EngineWorker, startEngineWorker, whyNoContainers } from "./engine.ts";

/* The suite's own Worker, its sandboxes real containers: what programs in these have of it without a token. */

const ROOT = path.resolve(import.meta.dirname, "../..");
/** Building the image and fetching its base. */
const START_MS = 15 * 60_000;
const MODEL_KEY = "only-for-tests";
/** In the place of agents that come from the network. */
const GREETER = JSON.stringify({
  ...{ title: "Greeter", description: "a test's", node: "22.0.0", install: {}, programs: {}, kept: [], hint: "" },
  start: ["node", "-e", `require("http").createServer((_, r) => r.end("hello")).listen(4321, "127.0.0.1")`],
  ...{ port: 4321, ready: "/" },
});

const HEADERS = ["Content-Type: application/json", "Accept: application/json, text/event-stream"]
  .concat("MCP-Protocol-Version: 2025-11-25")
  .map((header) => `-H '${header}'`)
  .join(" ");

const reason = whyNoContainers();

if (reason === undefined) {
  const ends = new AsyncDisposableStack();
  let client: ToolClient;
  let worker: EngineWorker;
  let gateway: TestGateway;

  beforeAll(async () => {
    const { port } = await findPort(0);
    const url = `http://localhost:${port}`;
    gateway = ends.use(await startTestGateway({ key: MODEL_KEY }));
    const browser = ends.use(await prepareBrowser([], url));
    const settings = {
      ...{ ...LOCAL_SETTINGS, PUBLIC_URL: url, SANDBOX_DRIVER: "container", SNAPSHOT_AFTER: "1s" },
      ...{ MODEL_BASE_URL: gateway.baseUrl, MODEL_API_KEY: MODEL_KEY, MODEL_DEFAULT: "model" },
    };
    const config = path.join(ROOT, "wrangler.jsonc");
    worker = ends.use(await startEngineWorker(settings, { config, port, env: browser.env }));
    const running = { url, adminSecret: LOCAL_SETTINGS.LOCAL_ADMIN_SECRET, pid: process.pid, startedAt: "" };
    const token = await requestToken(running, { name: "test" });
    client = ends.use(await connectOfficial(new URL("/mcp", url), token, "modern"));
  }, START_MS);

  afterAll(async () => {
    for (const sandbox of ["main", "other", "agent"]) await client.callTool("sandbox_reset", { sandbox });
    await ends.disposeAsync();
  });

  const resultSchema = z.object({ exit_code: z.int(), stdout: z.string(), stderr: z.string() });

  const attempt = async (command: string, sandbox = "main"): Promise<z.output<typeof resultSchema>> => {
    const { structuredContent } = await client.callTool("sandbox_exec", { command, sandbox, wait_ms: 50_000 });
    return resultSchema.parse(structuredContent);
  };

  /** What a command wrote that succeeded and complained of nothing. */
  const exec = async (command: string, sandbox = "main"): Promise<string> => {
    const { stdout, stderr, exit_code: exitCode } = await attempt(command, sandbox);
    expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
    return stdout;
  };

  const runNode = async (program: string): Promise<string> => {
    await client.callTool("sandbox_write", { path: "/workspace/program.mjs", content: program });
    return await exec("node program.mjs");
  };

  describe("in a container", { timeout: 120_000 }, () => {
    test("curl calls the suite's tools as the sandbox's owner, and each sandbox is told its own name", async () => {
      const curl = (method: string, params: object): string =>
        `curl -sS ${HEADERS} -d '${JSON.stringify({ jsonrpc: "2.0", id: 1, method, params })}' http://pincer.internal/mcp`;
      const names = await exec(`${curl("tools/list", {})} | grep -o '"name":"[a-z]*_[a-z_]*"' | cut -d '"' -f 4`);
      expect(names.split("\n")).toEqual(expect.arrayContaining(await client.listTools()));
      const file = { path: "from-inside.txt", content: "written from inside" };
      await exec(curl("tools/call", { name: "files_write", arguments: file }));
      expect(textOf(await client.callTool("files_read", { path: file.path }))).toContain(file.content);
      expect(await exec(`cat files/${file.path}`)).toBe(file.content);
      for (const sandbox of ["main", "other"]) {
        expect(await exec("curl -sS http://pincer.internal/", sandbox)).toBe(JSON.stringify({ sandbox }));
      }
    });

    test("a model's answer streams, by a key that the sandbox does not have", async () => {
      expect(await exec("curl -sS http://model.internal/v1/models")).toContain('"id":"model"');
      gateway.script({ kind: "text", text: "one two three", pauseMs: 300 });
      const said = await runNode(`
        const messages = [{ role: "user", content: "Count." }];
        const answer = await fetch("http://model.internal/v1/chat/completions", {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ model: "model", messages, stream: true }),
        });
        const times = [];
        let text = "";
        for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
          times.push(performance.now());
          text += piece;
        }
        const words = text.match(/(?<="content":")[^"]*/g).join("");
        console.log(JSON.stringify({ words, isStreamed: times.at(-1) - times[0] > 500 }));
      `);
      expect(JSON.parse(said)).toEqual({ words: "one two three", isStreamed: true });
    });

    test("Node's WebSocket speaks to the browser, in messages of megabytes too", async () => {
      const said = await runNode(`
        const { webSocketDebuggerUrl } = await (await fetch("http://browser.internal/json/version")).json();
        const socket = new WebSocket(webSocketDebuggerUrl);
        const answers = new Map();
        socket.onmessage = ({ data }) => {
          const { id, result } = JSON.parse(data);
          answers.get(id)?.(result);
        };
        const ask = async (method, params, sessionId) => {
          const { promise, resolve } = Promise.withResolvers();
          answers.set(answers.size + 1, resolve);
          socket.send(JSON.stringify({ id: answers.size, method, params, sessionId }));
          return await promise;
        };
        await new Promise((resolve) => (socket.onopen = resolve));
        const { targetId } = await ask("Target.createTarget", { url: "about:blank" });
        const { sessionId } = await ask("Target.attachToTarget", { targetId, flatten: true });
        const text = "x".repeat(3 * 2 ** 20);
        const expression = JSON.stringify(text);
        const { result } = await ask("Runtime.evaluate", { expression, returnByValue: true }, sessionId);
        console.log(result.value === text);
        await ask("Target.closeTarget", { targetId });
        socket.onclose = ({ wasClean }) => console.log(wasClean);
        socket.close(1000);
      `);
      expect(said).toBe("true\ntrue\n");
    });

    test("Playwright drives the browser, and the browser tools see the page that it left", async () => {
      await bringPackages(client, ["playwright-core"]);
      const said = await runNode(`
        import { chromium } from "playwright-core";
        const browser = await chromium.connectOverCDP("http://browser.internal");
        const page = browser.contexts()[0].pages()[0] ?? (await browser.contexts()[0].newPage());
        await page.setContent("<button onclick='this.textContent = Number(this.textContent) + 1'>41</button>");
        await page.getByRole("button").click();
        console.log(await page.getByRole("button").innerText());
        await browser.close();
      `);
      expect(said).toBe("42\n");
      expect(textOf(await client.callTool("browser_open", { tab: "1" }))).toContain('button "42"');
    });

    test("pages may not call these names, and no other name or port leads to the suite", async () => {
      const { stdout } = await attempt("curl -sS -H 'Origin: http://pages.test' http://pincer.internal/mcp -d '{}'");
      expect(stdout).toContain("Pages may not call pincer.internal; programs may.");
      expect((await attempt("curl -sS http://other.internal/")).stdout).toContain("may not reach other.internal");
      expect((await attempt("curl -sS -m 20 http://pincer.internal:8080/")).stdout).toBe("");
    });

    test("the skills and presets of the image are there", async () => {
      const skills = await readdir(path.join(ROOT, "container/skills"));
      expect(await exec("cd /opt/skills && ls -d */ | tr -d /")).toBe(`${skills.toSorted().join("\n")}\n`);
      expect(await exec("preset list")).toMatch(/^claude-code\t.*\nopenclaw\t.*\nopencode\t.*\n$/);
      expect(await exec("preset status")).toMatch(/^claude-code\tnot installed\n/);
    });

    test("an agent that was started runs again when a call has woken its sandbox", async () => {
      const sandbox = "agent";
      await exec(
        "cp -r /opt/presets presets; mkdir presets/greeter; mkdir -p .local/bin; ln -s ../../presets/program/preset.mjs .local/bin/preset",
        sandbox,
      );
      await client.callTool("sandbox_write", { sandbox, path: "presets/greeter/preset.json", content: GREETER });
      await exec("preset start greeter", sandbox);
      const startedAtMs = Date.now();
      const ageSchema = z.object({ snapshot_age_s: z.number() });
      const savedAtMs = async (): Promise<number> => {
        const { structuredContent } = await client.callTool("sandbox_status", { sandbox });
        return Date.now() - 1_000 * (ageSchema.safeParse(structuredContent).data?.snapshot_age_s ?? Infinity);
      };
      await expect.poll(savedAtMs, { timeout: 60_000, interval: 1_000 }).toBeGreaterThan(startedAtMs + 1_000);
      await worker.stopContainers();
      await expect.poll(async () => await exec("preset status", sandbox)).toMatch(/^greeter\truns for 0 min/m);
      expect(await exec("curl -sS http://127.0.0.1:4321/", sandbox)).toBe("hello");
    });
  });
} else {
  test.skip(`in a container, programs have the suite without a token (skipped: ${reason})`, () => undefined);
}
