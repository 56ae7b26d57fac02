import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import {
  Client,
  type OAuthClientProvider,
  type OAuthDiscoveryState,
  type StoredOAuthClientInformation,
  type StoredOAuthTokens,
  StreamableHTTPClientTransport,
  UnauthorizedError,
} from "@modelcontextprotocol/client";
import { UnauthorizedError as OldUnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client as OldClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as OldTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../egress/loopback.ts";
import { type Approval, allow } from "../support/consent.ts";
import { type Era, connectMcpRemote, modeOf, runInspectorSigningIn, textOf } from "../support/mcp-clients.ts";
import { type OwnSuite, startSuite } from "../support/suite.ts";

// A suite of its own: only its launcher's output shows the sign-in code.
let suite: OwnSuite | undefined;

beforeAll(async () => {
  suite = await startSuite();
});

afterAll(async () => {
  await suite?.[Symbol.asyncDispose]();
});

function running(): { url: string; approval: Approval } {
  const code = /\b([A-Z0-9]{4}-[A-Z0-9]{4})\b/.exec(suite?.output() ?? "")?.[1];
  if (suite === undefined || code === undefined) throw new Error(`No sign-in code was printed: ${suite?.output()}`);
  return { url: suite.url, approval: { code } };
}

interface Person {
  readonly provider: OAuthClientProvider;
  /** Where the client has sent the browser; absent until it has. */
  readonly sentTo: () => URL | undefined;
  readonly tokens: () => StoredOAuthTokens | undefined;
}

/** What a client keeps between its requests, in memory, and a browser that opens nothing by itself. */
function createPerson(): Person {
  let sentTo: URL | undefined;
  let tokens: StoredOAuthTokens | undefined;
  let registration: StoredOAuthClientInformation | undefined;
  let discovered: OAuthDiscoveryState | undefined;
  let verifier = "";
  return {
    sentTo: () => sentTo,
    tokens: () => tokens,
    provider: {
      redirectUrl: "http://localhost:49152/callback",
      clientMetadata: {
        client_name: "Sign-in test",
        redirect_uris: ["http://localhost:49152/callback"],
        token_endpoint_auth_method: "none",
      },
      state: () => "the-state",
      clientInformation: () => registration,
      saveClientInformation: (saved) => {
        registration = saved;
      },
      tokens: () => tokens,
      saveTokens: (saved) => {
        tokens = saved;
      },
      redirectToAuthorization: (url) => {
        sentTo = url;
      },
      saveCodeVerifier: (saved) => {
        verifier = saved;
      },
      codeVerifier: () => verifier,
      discoveryState: () => discovered,
      saveDiscoveryState: (saved) => {
        discovered = saved;
      },
    },
  };
}

/** Connects, is sent to sign in, signs in by the consent page, and connects again. */
async function signIn(mcpUrl: URL, era: Era, approval: Approval): Promise<{ client: Client; person: Person }> {
  const person = createPerson();
  const newClient = (): Client =>
    new Client({ name: "t", version: "1" }, { versionNegotiation: { mode: modeOf(era) } });
  const first = new StreamableHTTPClientTransport(mcpUrl, { authProvider: person.provider });
  await expect(newClient().connect(first)).rejects.toThrow(UnauthorizedError);
  const authorizationUrl = person.sentTo();
  if (authorizationUrl === undefined) throw new Error("The client sent no browser to sign in.");
  const back = await allow(authorizationUrl, approval);
  expect(back.searchParams.get("state")).toBe("the-state");
  await first.finishAuth(back.searchParams);
  const client = newClient();
  await client.connect(new StreamableHTTPClientTransport(mcpUrl, { authProvider: person.provider }));
  return { client, person };
}

describe.for(["modern", "legacy"] as const)("the official client of the %s era", (era) => {
  test("finds its way from a 401 to a tool call by OAuth alone", async () => {
    const { url, approval } = running();
    const { client, person } = await signIn(new URL("/mcp", url), era, approval);
    expect((await client.listTools()).tools.map(({ name }) => name)).toContain("sandbox_exec");
    expect((await client.callTool({ name: "files_list", arguments: {} })).isError ?? false).toBe(false);
    expect(person.tokens()).toMatchObject({
      token_type: expect.stringMatching(/^bearer$/i),
      refresh_token: expect.any(String),
    });
    await client.close();
  });

  test("holds a token that serves the endpoint it signed in to, and no other", async () => {
    const { url, approval } = running();
    const { client, person } = await signIn(new URL("/mcp/files", url), era, approval);
    expect((await client.listTools()).tools.map(({ name }) => name)).not.toContain("sandbox_exec");
    await client.close();
    for (const [endpoint, status] of [
      ["/mcp/files", 200],
      ["/mcp/sandbox", 401],
      ["/mcp", 401],
    ] as const) {
      const answer = await fetch(new URL(endpoint, url), {
        method: "POST",
        headers: {
          Authorization: `Bearer ${person.tokens()?.access_token}`,
          "Content-Type": "application/json",
          Accept: "application/json, text/event-stream",
        },
        body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list", params: {} }),
      });
      expect({ endpoint, status: answer.status }).toEqual({ endpoint, status });
    }
  });

  test("comes back for more when a tool needs a scope that its token lacks", async () => {
    const { url, approval } = running();
    const mcpUrl = new URL("/mcp", url);
    const { client, person } = await signIn(mcpUrl, era, { ...approval, scopes: ["files:read"] });
    expect((await client.callTool({ name: "files_list", arguments: {} })).isError ?? false).toBe(false);
    const write = { name: "files_write", arguments: { path: `step-up/${era}.txt`, content: "more" } };
    await expect(client.callTool(write)).rejects.toThrow(UnauthorizedError);
    const asked = person.sentTo();
    expect(asked?.searchParams.get("scope")?.split(" ")).toEqual(expect.arrayContaining(["files:read", "files:write"]));
    if (asked === undefined) throw new Error("The client sent no browser to ask for more.");
    const back = await allow(asked, { ...approval, scopes: ["files:read", "files:write"] });
    const transport = client.transport;
    if (!(transport instanceof StreamableHTTPClientTransport)) throw new Error("The client has another transport.");
    await transport.finishAuth(back.searchParams);
    expect((await client.callTool(write)).isError ?? false).toBe(false);
    await client.close();
  });

  test("gets a fresh token by itself when its own is refused", async () => {
    const { url, approval } = running();
    const mcpUrl = new URL("/mcp", url);
    const { client, person } = await signIn(mcpUrl, era, approval);
    await client.close();
    const tokens = person.tokens();
    if (tokens === undefined) throw new Error("There are no tokens.");
    await person.provider.saveTokens({ ...tokens, access_token: `${tokens.access_token}x` });
    const again = new Client({ name: "t", version: "1" }, { versionNegotiation: { mode: modeOf(era) } });
    await again.connect(new StreamableHTTPClientTransport(mcpUrl, { authProvider: person.provider }));
    expect((await again.listTools()).tools).not.toHaveLength(0);
    expect(person.tokens()?.access_token).not.toBe(`${tokens.access_token}x`);
    await again.close();
  });

  test("stays signed in when many of its calls meet an expired token at once", async () => {
    const { url, approval } = running();
    const { client, person } = await signIn(new URL("/mcp", url), era, approval);
    for (let round = 1; round <= 3; round += 1) {
      const tokens = person.tokens();
      if (tokens === undefined) throw new Error("There are no tokens.");
      await person.provider.saveTokens({ ...tokens, access_token: "expired" });
      const calls = Array.from({ length: 8 }, async () => {
        return await client.callTool({ name: "files_list", arguments: {} });
      });
      const answers = await Promise.all(calls);
      expect(answers.map(({ isError = false }) => isError)).not.toContain(true);
      expect(person.tokens()?.refresh_token).not.toBe(tokens.refresh_token);
    }
    await client.close();
  });
});

test("the client of SDK 1 signs in by OAuth and calls a tool", async () => {
  const { url, approval } = running();
  const person = createPerson();
  const newClient = (): OldClient => new OldClient({ name: "t", version: "1" });
  const newTransport = (): OldTransport => new OldTransport(new URL("/mcp", url), { authProvider: person.provider });
  const first = newTransport();
  await expect(newClient().connect(first)).rejects.toThrow(OldUnauthorizedError);
  const authorizationUrl = person.sentTo();
  if (authorizationUrl === undefined) throw new Error("The client sent no browser to sign in.");
  const back = await allow(authorizationUrl, approval);
  await first.finishAuth(back.searchParams.get("code") ?? "");
  const client = newClient();
  await client.connect(newTransport());
  expect((await client.listTools()).tools.map(({ name }) => name)).toContain("sandbox_exec");
  expect((await client.callTool({ name: "files_list", arguments: {} })).isError ?? false).toBe(false);
  await client.close();
});

test("mcp-remote signs in by OAuth with a browser and calls a tool", async () => {
  const { url, approval } = running();
  const configDir = await mkdtemp(path.join(tmpdir(), "pincer-mcp-remote-"));
  try {
    await using client = await connectMcpRemote(new URL("/mcp", url), {
      configDir,
      onAuthorizationUrl: async (authorizationUrl) => {
        await fetch(await allow(authorizationUrl, approval));
      },
    });
    expect(await client.listTools()).toContain("files_list");
    const answer = await client.callTool("files_list", { folder: "mcp-remote" });
    expect(textOf(answer)).toBe('{"folders":[],"files":[]}');
  } finally {
    await rm(configDir, { recursive: true, force: true });
  }
});

test("the Inspector signs in by OAuth with a browser and calls a tool", async () => {
  const { url, approval } = running();
  const configDir = await mkdtemp(path.join(tmpdir(), "pincer-inspector-"));
  const callbackPort = await freePort();
  try {
    const onAuthorizationUrl = async (authorizationUrl: URL): Promise<void> => {
      expect(authorizationUrl.searchParams.get("redirect_uri")).toBe(`http://127.0.0.1:${callbackPort}/oauth/callback`);
      await fetch(await allow(authorizationUrl, approval));
    };
    const call = ["--method", "tools/call", "--tool-name", "files_list", "--tool-arg", "folder=inspector"];
    const mcpUrl = new URL("/mcp", url);
    const run = await runInspectorSigningIn(mcpUrl, { configDir, callbackPort, onAuthorizationUrl }, call);
    expect(run.exitCode, run.stderr).toBe(0);
    expect(run.stdout).toContain('"structuredContent"');
  } finally {
    await rm(configDir, { recursive: true, force: true });
  }
});
