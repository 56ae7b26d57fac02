import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import packed from "../../container/skills.json";
import type { Scope } from "../../auth/scopes.ts";
import { serversOf } from "../../servers/catalog.ts";
import type { FinishedCall } from "../../servers/core/call.ts";
import { serveMcp } from "../../servers/core/http.ts";
import { createServer } from "../../servers/core/server.ts";
import { parseSettings } from "../../servers/shared/settings.ts";
import { createPipeline } from "../../servers/suite.ts";

const OURS = Object.keys(packed).toSorted();
const FILES: readonly Scope[] = ["files:read", "files:write"];

const messageSchema = z.object({
  result: z.record(z.string(), z.unknown()).optional(),
  error: z.object({ code: z.int(), message: z.string() }).optional(),
});
const namedSchema = z.array(z.looseObject({ name: z.string() }));
const entrySchema = z.object({
  uri: z.string(),
  frontmatter: z.looseObject({ name: z.string(), description: z.string() }),
  resources: z.array(z.object({ uri: z.string(), digest: z.string(), size: z.int() })),
});
const textSchema = z.tuple([z.object({ uri: z.string(), mimeType: z.string(), text: z.string() })]);

interface Visit {
  readonly scopes?: readonly Scope[];
  readonly endpoint?: string;
}

/** One person's client of 2026-07-28 at an endpoint, the suite's unless told. */
function visit(userId: string, { scopes = FILES, endpoint = "/mcp" }: Visit = {}) {
  const caller = { userId, role: "member", scopes, clientId: "test" } as const;
  const calls: FinishedCall[] = [];
  const made = createPipeline(env, parseSettings(env), caller, { waitUntil: () => undefined });
  const pipeline = { ...made, record: (call: FinishedCall) => calls.push(call) };
  const { servers } = serversOf(endpoint, null, "member");

  const ask = async (method: string, params: Readonly<Record<string, unknown>> = {}) => {
    const _meta = {
      "io.modelcontextprotocol/protocolVersion": "2026-07-28",
      "io.modelcontextprotocol/clientCapabilities": {},
    };
    const body = { jsonrpc: "2.0", id: 1, method, params: { ...params, _meta } };
    const name = params["name"] ?? params["uri"];
    const headers = {
      "Content-Type": "application/json",
      "MCP-Protocol-Version": "2026-07-28",
      "Mcp-Method": method,
      ...(typeof name === "string" ? { "Mcp-Name": name } : {}),
    };
    const request = new Request(`http://localhost${endpoint}`, { method: "POST", headers, body: JSON.stringify(body) });
    const response = await serveMcp(request, body, ({ era }) => createServer(servers, pipeline, era));
    return messageSchema.parse(await response.json());
  };
  return {
    files: pipeline.capabilities.files,
    calls: () => calls.map(({ tool, outcome }) => [tool, outcome]),
    ask,
    prompts: async () => namedSchema.parse((await ask("prompts/list")).result?.["prompts"]),
    resources: async () => {
      const listed = z
        .array(z.looseObject({ uri: z.string(), name: z.string() }))
        .parse((await ask("resources/list")).result?.["resources"]);
      return listed.filter(({ uri }) => uri.startsWith("skill://"));
    },
    leftOut: async (method: string) => {
      const meta = z.looseObject({ "pincer/left_out": z.unknown() }).parse((await ask(method)).result?.["_meta"]);
      return meta["pincer/left_out"];
    },
    read: async (uri: string) => textSchema.parse((await ask("resources/read", { uri })).result?.["contents"])[0],
    entries: async () => z.array(entrySchema).parse((await ask("skills/list")).result?.["skills"]),
    complete: async (argument: object, context: object = {}) => {
      const ref = { type: "ref/resource", uri: "skill://{name}/{+path}" };
      const { completion } = z
        .object({ completion: z.object({ values: z.array(z.string()) }) })
        .parse((await ask("completion/complete", { ref, argument, context })).result);
      return completion.values;
    },
  };
}

function skillText(name: string, more = ""): string {
  return `---\nname: ${name}\ndescription: What ${name} is for\n${more}---\n\nHow ${name} is done.\n`;
}

async function digestOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return `sha256:${new Uint8Array(digest).toHex()}`;
}

describe("the suite's own skills", () => {
  test("are prompts, resources and entries with digests, all by the same names", async () => {
    const { prompts, resources, entries, read, ask } = visit("skills-1");
    const listed = await prompts();
    expect(listed.map(({ name }) => name).toSorted()).toEqual(["memory", ...OURS]);
    const resourcesListed = await resources();
    expect(resourcesListed.map(({ uri }) => uri).toSorted()).toEqual(OURS.map((name) => `skill://${name}/SKILL.md`));
    const found = await entries();
    expect(found.map(({ frontmatter }) => frontmatter.name).toSorted()).toEqual(OURS);
    for (const { uri, frontmatter, resources: files } of found) {
      const { name, description } = frontmatter;
      expect(listed).toContainEqual({ name, description });
      expect(resourcesListed).toContainEqual({ uri, name, description, mimeType: "text/markdown" });
      expect(frontmatter).toMatchObject({ metadata: { version: expect.stringMatching(/^\d+\.\d+\.\d+$/) } });
      for (const { uri, digest, size } of files) {
        const { text, mimeType } = await read(uri);
        expect({ digest, size }).toEqual({ digest: await digestOf(text), size: new TextEncoder().encode(text).length });
        expect(mimeType).toBe(uri.endsWith(".mjs") ? "text/javascript" : "text/markdown");
      }
      expect((await ask("skills/get", { uri })).result).toMatchObject({
        resultType: "complete",
        skill: { uri, frontmatter, resources: files },
        ttlMs: 0,
        cacheScope: "private",
      });
    }
    expect(await ask("server/discover")).toMatchObject({
      result: { capabilities: { prompts: {}, extensions: { "io.modelcontextprotocol/skills": {} } } },
    });
  });

  test("are told by prompts, with the places where their files are", async () => {
    const { ask } = visit("skills-1");
    const { result } = await ask("prompts/get", { name: "pincer-browser" });
    const said = JSON.stringify(result);
    expect(said).toContain("skill://pincer-browser/");
    expect(said).toContain("/opt/skills/pincer-browser/");
    expect(said).toContain("# Screenshot, PDF, video");
    expect(said).not.toContain("description: ");
  });

  test.each([
    ["/mcp/browser", ["browser:read"], ["pincer-browser"]],
    ["/mcp/interpreter", ["interpreter:run"], ["pincer-suite"]],
    ["/mcp/sandbox", ["sandbox:exec"], ["pincer-previews", "pincer-suite"]],
    ["/mcp/delegate", ["delegate:run"], ["pincer-delegate"]],
  ] as const)("are at %s those about what is there, whatever the scopes", async (endpoint, scopes, names) => {
    const { prompts, resources, entries, ask, complete, calls } = visit("skills-1", { endpoint, scopes });
    expect((await prompts()).map(({ name }) => name).toSorted()).toEqual(names);
    expect((await resources()).map(({ name }) => name).toSorted()).toEqual(names);
    expect((await entries()).map(({ frontmatter }) => frontmatter.name).toSorted()).toEqual(names);
    expect(await complete({ name: "name", value: "" })).toEqual(names);
    expect((await ask("prompts/get", { name: names[0] })).result).toBeDefined();
    expect((await ask("prompts/get", { name: "pincer-files" })).error).toMatchObject({ code: -32602 });
    expect((await ask("resources/read", { uri: "skill://pincer-files/SKILL.md" })).error).toMatchObject({
      code: -32602,
    });
    expect((await ask("skills/get", { uri: "skill://pincer-files/SKILL.md" })).error).toMatchObject({ code: -32602 });
    expect(calls()).toContainEqual(["prompts/get", "ok"]);
  });

  test.each([
    "skill://pincer-suite/scripts",
    "skill://pincer-suite/../SKILL.md",
    "skill://pincer-suite/",
    "skill://pincer-new/SKILL.md",
  ])("have no file %s", async (uri) => {
    expect((await visit("skills-1").ask("resources/read", { uri })).error).toMatchObject({ code: -32602 });
  });

  test("complete by name and by file", async () => {
    const { complete } = visit("skills-1");
    expect(await complete({ name: "name", value: "pincer-f" })).toEqual(["pincer-files"]);
    const context = { arguments: { name: "pincer-suite" } };
    expect(await complete({ name: "path", value: "s" }, context)).toEqual(["scripts/tool.mjs"]);
    expect(await complete({ name: "path", value: "" })).toEqual([]);
  });
});

describe("a person's own skills", () => {
  test("are offered beside the suite's, with all of their files", async () => {
    const own = visit("skills-2");
    const text = skillText("tea-time", 'metadata:\n  version: "2"\n');
    await own.files.write("skills/tea-time/SKILL.md", text);
    await own.files.write("skills/tea-time/references/kinds of tea.md", "Green");
    await own.files.write("skills/README.md", "No skill");
    const frontmatter = { name: "tea-time", description: "What tea-time is for", metadata: { version: "2" } };
    const { name, description } = frontmatter;
    const uri = "skill://tea-time/SKILL.md";
    expect(await own.prompts()).toContainEqual({ name, description });
    expect(await own.resources()).toContainEqual({ uri, name, description, mimeType: "text/markdown" });
    const entry = {
      uri,
      frontmatter,
      resources: [
        { uri, digest: await digestOf(text), size: text.length },
        { uri: "skill://tea-time/references/kinds%20of%20tea.md", digest: await digestOf("Green"), size: 5 },
      ],
    };
    expect(await own.entries()).toContainEqual(entry);
    expect((await own.ask("skills/get", { uri })).result).toMatchObject({ skill: entry });
    expect(await own.read(uri)).toEqual({ uri, mimeType: "text/markdown", text });
    expect(await own.read("skill://tea-time/references/kinds%20of%20tea.md")).toMatchObject({ text: "Green" });
    const prompt = await own.ask("prompts/get", { name });
    expect(JSON.stringify(prompt.result)).toContain("How tea-time is done.");
    expect(JSON.stringify(prompt.result)).toContain("/workspace/files/skills/tea-time/");
    expect(await own.complete({ name: "name", value: "te" })).toEqual(["tea-time"]);
    const context = { arguments: { name } };
    expect(await own.complete({ name: "path", value: "ref" }, context)).toEqual(["references/"]);
    expect((await own.ask("prompts/list")).result).not.toHaveProperty("_meta.pincer/left_out");
    expect(own.calls()).toEqual(
      expect.arrayContaining([
        ["prompts/list", "ok"],
        ["resources/list", "ok"],
        ["skills/list", "ok"],
      ]),
    );
  });

  test("are nobody else's, and need files:read", async () => {
    await visit("skills-3").files.write("skills/mine/SKILL.md", skillText("mine"));
    const uri = "skill://mine/SKILL.md";
    const other = visit("skills-4");
    const unscoped = visit("skills-3", { scopes: ["browser:read"] });
    const elsewhere = visit("skills-3", { endpoint: "/mcp/browser" });
    for (const { prompts, entries, ask, complete } of [other, unscoped, elsewhere]) {
      expect((await prompts()).map(({ name }) => name)).not.toContain("mine");
      expect((await entries()).map(({ frontmatter }) => frontmatter.name)).not.toContain("mine");
      expect(await complete({ name: "name", value: "mine" })).toEqual([]);
      expect(await complete({ name: "path", value: "" }, { arguments: { name: "mine" } })).toEqual([]);
      for (const [method, params] of [
        ["prompts/get", { name: "mine" }],
        ["resources/read", { uri }],
        ["skills/get", { uri }],
      ] as const) {
        expect((await ask(method, params)).error, method).toMatchObject({ code: -32602 });
      }
    }
    expect((await unscoped.ask("resources/read", { uri })).error?.message).toMatch(/files:read/);
    expect((await unscoped.ask("prompts/get", { name: "mine" })).error?.message).toMatch(/files:read/);
  });

  test("that are broken or hostile are left out with a note, and asked for say what is wrong", async () => {
    const { files, ask, prompts, resources, entries, leftOut } = visit("skills-5");
    const bad: Readonly<Record<string, string | Uint8Array>> = {
      "no-front": "Just do it.",
      "no-description": "---\nname: no-description\n---\n",
      "other-name": "---\nname: good\ndescription: Pretends\n---\n",
      unseen: "---\nname: unseen\ndescription: a\u{e0041}b\n---\n",
      anchors: "---\nname: &a anchors\ndescription: *a\n---\n",
      binary: Uint8Array.from([0, 159, 146, 150]),
      huge: `---\nname: huge\ndescription: big\n---\n${"x".repeat(70_000)}`,
      "deep-yaml": `---\nname: deep-yaml\ndescription: ${"[".repeat(10_000)}\n---\n`,
      "Bad Name": skillText("bad-name"),
      "pincer-files": skillText("pincer-files"),
      "pincer-other": skillText("pincer-other"),
      memory: skillText("memory"),
    };
    for (const [name, text] of Object.entries(bad)) await files.write(`skills/${name}/SKILL.md`, text);
    await files.write("skills/empty-one/notes.md", "Nothing here.");
    await files.write("skills/good/SKILL.md", skillText("good"));
    const names = ["memory", ...OURS, "good"];
    expect((await prompts()).map(({ name }) => name).toSorted()).toEqual(names.toSorted());
    expect((await resources()).map(({ name }) => name).toSorted()).toEqual([...OURS, "good"].toSorted());
    expect((await entries()).map(({ frontmatter }) => frontmatter.name).toSorted()).toEqual(
      [...OURS, "good"].toSorted(),
    );
    for (const method of ["prompts/list", "resources/list"]) {
      const notes = z.array(z.object({ path: z.string(), problem: z.string() })).parse(await leftOut(method));
      const paths = [...Object.keys(bad), "empty-one"].map((name) => `skills/${name}`);
      expect(notes.map(({ path }) => path).toSorted()).toEqual(paths.toSorted());
      expect(Object.fromEntries(notes.map(({ path, problem }) => [path, problem]))).toMatchObject({
        "skills/no-front": expect.stringContaining("front matter"),
        "skills/no-description": expect.stringContaining("description"),
        "skills/huge": expect.stringContaining("64 KB"),
        "skills/pincer-files": expect.stringContaining("Pincer's own"),
        "skills/empty-one": "It has no SKILL.md.",
      });
    }
    const asked = await ask("prompts/get", { name: "no-description" });
    expect(asked.error).toMatchObject({
      code: -32602,
      message: expect.stringMatching(/no-description.*needs a description/),
    });
    const ours = await ask("prompts/get", { name: "pincer-files" });
    expect(JSON.stringify(ours.result)).toContain("# Files and share links");
  });

  test("are fifty at the most, and the note says that there are more", async () => {
    const { files, prompts, leftOut } = visit("skills-6");
    const names = Array.from({ length: 52 }, (_, index) => `s${String(index).padStart(2, "0")}`);
    await Promise.all(names.map(async (name) => await files.write(`skills/${name}/SKILL.md`, skillText(name))));
    const listed = (await prompts()).map(({ name }) => name).filter((name) => name.startsWith("s"));
    expect(listed).toEqual(names.slice(0, 50));
    expect(await leftOut("prompts/list")).toEqual([
      { path: "skills/", problem: "Only the first 50 folders are looked into." },
    ]);
  });

  test("with many files are not read for a list of all, and found when asked for", async () => {
    const { files, entries, prompts, ask } = visit("skills-7");
    await files.write("skills/wide/SKILL.md", skillText("wide"));
    const paths = Array.from({ length: 30 }, (_, index) => `skills/wide/parts/${index}.md`);
    await Promise.all(paths.map(async (path) => await files.write(path, path)));
    expect((await prompts()).map(({ name }) => name)).toContain("wide");
    expect((await entries()).map(({ frontmatter }) => frontmatter.name)).not.toContain("wide");
    const { result } = await ask("skills/get", { uri: "skill://wide/SKILL.md" });
    expect(entrySchema.parse(result?.["skill"]).resources).toHaveLength(31);
  });
});
