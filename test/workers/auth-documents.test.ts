import { reset, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, test } from "vitest";
import { createClientDocuments } from "../../auth/client-documents.ts";
import {
  ORIGIN,
  REDIRECT,
  codeOf,
  exchange,
  openConsent,
  press,
  refresh,
  startSuite,
  tokenAnswer,
} from "./auth-suite.ts";

const URL_OF_CLIENT = "https://apps.example.com/oauth/client.json";
const CLIENT = { clientId: URL_OF_CLIENT, redirectUri: REDIRECT, verifier: "v".repeat(64) };
const DOCUMENT = {
  client_id: URL_OF_CLIENT,
  client_name: "Example app",
  redirect_uris: [REDIRECT],
  grant_types: ["authorization_code", "refresh_token"],
  token_endpoint_auth_method: "none",
};
const HOUR_MS = 60 * 60 * 1000;

afterEach(async () => {
  await reset();
});

/** A suite whose network answers as told, and remembers what was asked of it. */
function startOnline(answer: () => Response | Promise<Response>) {
  const asked: { url: string; redirect: string | undefined }[] = [];
  const suite = startSuite({
    bindings: env,
    fetch: async (input, init) => {
      asked.push({ url: new Request(input).url, redirect: init?.redirect });
      return await answer();
    },
  });
  return { suite, asked };
}

test("a client that is named by its document signs in, and is shown with the host that vouches for it", async () => {
  const { suite, asked } = startOnline(() => Response.json(DOCUMENT));
  const form = await openConsent(suite, CLIENT);
  expect(form.markup).toContain("Allow “Example app” to use Pincer for you?");
  expect(form.markup).toContain("It is an app of <strong>apps.example.com</strong>");
  expect(form.markup).not.toContain("nobody has verified");
  const answer = await exchange(suite, CLIENT, codeOf(await press(suite, form)));
  const { refresh_token: token } = tokenAnswer.parse(await answer.json());
  expect((await refresh(suite, CLIENT, token)).status).toBe(200);
  expect(asked).toEqual([{ url: URL_OF_CLIENT, redirect: "manual" }]);
  expect((await env.OAUTH_KV.list({ prefix: "client:" })).keys).toEqual([]);
});

test("a document is asked for again after an hour, and what it says then holds", async () => {
  let document: object = DOCUMENT;
  const { suite, asked } = startOnline(() => Response.json(document));
  await openConsent(suite, CLIENT);
  document = { ...DOCUMENT, redirect_uris: ["http://localhost:4999/other"] };
  suite.clock.nowMs += HOUR_MS - 1;
  expect((await openConsent(suite, CLIENT)).status).toBe(200);
  expect(asked).toHaveLength(1);
  suite.clock.nowMs += 1;
  expect((await openConsent(suite, CLIENT)).status).toBe(400);
  expect(asked).toHaveLength(2);
});

test("a client goes on for a day while the host of its document is down or busy, and not once the document is gone", async () => {
  let answer = (): Response => Response.json(DOCUMENT);
  const { suite } = startOnline(() => answer());
  const code = codeOf(await press(suite, await openConsent(suite, CLIENT)));
  const first = tokenAnswer.parse(await (await exchange(suite, CLIENT, code)).json());
  answer = () => new Response(null, { status: 503 });
  suite.clock.nowMs += 2 * HOUR_MS;
  const refreshed = await refresh(suite, CLIENT, first.refresh_token);
  const second = tokenAnswer.parse(await refreshed.json());
  answer = () => new Response(null, { status: 429 });
  expect((await openConsent(suite, CLIENT)).status).toBe(200);
  answer = () => new Response(null, { status: 503 });
  suite.clock.nowMs += 23 * HOUR_MS;
  expect((await refresh(suite, CLIENT, second.refresh_token)).status).toBe(401);
  answer = () => Response.json(DOCUMENT);
  expect((await openConsent(suite, CLIENT)).status).toBe(200);
  answer = () => new Response(null, { status: 404 });
  suite.clock.nowMs += 2 * HOUR_MS;
  expect((await refresh(suite, CLIENT, second.refresh_token)).status).toBe(401);
});

test.each([
  "https://localhost/client.json",
  "https://127.0.0.1/client.json",
  "https://127.1/client.json",
  "https://0x7f.1/client.json",
  "https://[::1]/client.json",
  "https://[::ffff:127.0.0.1]/client.json",
  "https://10.0.0.1/client.json",
  "https://192.168.1.1/client.json",
  "https://[fd00::1]/client.json",
  "https://169.254.1.1/client.json",
  "https://169.254.169.254/latest/meta-data/",
  "https://metadata.google.internal/computeMetadata/v1/",
  "https://[fd00:ec2::254]/client.json",
  "https://router.local/client.json",
  "https://intranet/client.json",
  "https://app.localhost/client.json",
  "http://apps.example.com/client.json",
  "https://apps.example.com:8443/client.json",
  "https://user:pw@apps.example.com/client.json",
  "https://apps.example.com/client.json#x",
  "https://apps.example.com/a/../client.json",
  "https://apps.example.com/",
  "https://apps.example.com",
  "https:\\\\apps.example.com\\client.json",
  "ftp://apps.example.com/client.json",
])("nothing is fetched for a client whose id is %s", async (clientId) => {
  const { suite, asked } = startOnline(() => Response.json({ ...DOCUMENT, client_id: clientId }));
  const page = await openConsent(suite, { ...CLIENT, clientId });
  expect(page.status).toBe(400);
  expect(page.handle).toBe("");
  expect(asked).toEqual([]);
});

test("nothing is fetched from the suite itself, where anybody's file may be shared", async () => {
  const documents = createClientDocuments({
    publicUrl: "https://pincer.example.com",
    store: () => env.CLIENT_REGISTRY.get(env.CLIENT_REGISTRY.idFromName("clients")),
    fetch: async () => await Promise.reject(new Error("fetched")),
    now: () => new Date(),
  });
  await expect(documents.open("https://pincer.example.com/s/link")).rejects.toThrow("which is not public");
});

test("a redirect to another place is not followed", async () => {
  const { suite, asked } = startOnline(() => Response.redirect("http://127.0.0.1/client.json", 302));
  const page = await openConsent(suite, CLIENT);
  expect(page.status).toBe(400);
  expect(page.markup).toContain("it is answered with 302");
  expect(asked).toEqual([{ url: URL_OF_CLIENT, redirect: "manual" }]);
});

test.each([
  { what: "of another app", document: { ...DOCUMENT, client_id: "https://claude.ai/oauth/client.json" } },
  { what: "without its id", document: { ...DOCUMENT, client_id: undefined } },
  { what: "without a name", document: { ...DOCUMENT, client_name: "" } },
  { what: "without an address", document: { ...DOCUMENT, redirect_uris: [] } },
  { what: "with dangerous addresses alone", document: { ...DOCUMENT, redirect_uris: ["javascript:alert(1)"] } },
  { what: "with a secret", document: { ...DOCUMENT, client_secret: "x" } },
  { what: "of an app that signs", document: { ...DOCUMENT, token_endpoint_auth_method: "private_key_jwt" } },
  { what: "that is a list", document: [DOCUMENT] },
  { what: "that is too long", document: { ...DOCUMENT, padding: "x".repeat(5_200) } },
])("a document $what is refused, and not kept", async ({ document }) => {
  const { suite } = startOnline(() => Response.json(document));
  const page = await openConsent(suite, CLIENT);
  expect(page.status).toBe(400);
  expect(page.handle).toBe("");
  const registry = env.CLIENT_REGISTRY.get(env.CLIENT_REGISTRY.idFromName("clients"));
  expect(await registry.findDocument(URL_OF_CLIENT)).toBeUndefined();
});

test("no more of an endless document is read than a document may have", async () => {
  let sent = 0;
  const { suite } = startOnline(() => {
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        sent += 1_024;
        controller.enqueue(new Uint8Array(1_024).fill(32));
      },
    });
    return new Response(endless);
  });
  expect((await openConsent(suite, CLIENT)).markup).toContain("longer than 5120 bytes");
  expect(sent).toBeLessThan(100_000);
});

test.each(["that says nothing", "that stops in the middle"])("a host %s is not waited for", async (what) => {
  const documents = createClientDocuments({
    publicUrl: ORIGIN,
    store: () => env.CLIENT_REGISTRY.get(env.CLIENT_REGISTRY.idFromName("clients")),
    fetch: async (_input, init) => {
      if (what === "that stops in the middle") return new Response(new ReadableStream<Uint8Array>());
      return await new Promise((_resolve, reject) => {
        init?.signal?.addEventListener("abort", () => reject(new Error("aborted")));
      });
    },
    now: () => new Date(),
    timeoutMs: 50,
  });
  await expect(documents.open(URL_OF_CLIENT)).rejects.toThrow("Pincer could not fetch");
});

test("on a machine without the internet an app on it signs in, and nobody vouches for it", async () => {
  const client = { ...CLIENT, redirectUri: "http://localhost:49152/callback" };
  const suite = startSuite({ bindings: env });
  const form = await openConsent(suite, client);
  expect(form.markup).toContain("Allow “An app that names apps.example.com” to use Pincer for you?");
  expect(form.markup).toContain("nobody has verified it");
  expect(form.markup).not.toContain("It is an app of");
  const answer = await exchange(suite, client, codeOf(await press(suite, form)));
  const { refresh_token: token } = tokenAnswer.parse(await answer.json());
  suite.clock.nowMs += 48 * HOUR_MS;
  expect((await refresh(suite, client, token)).status).toBe(200);
});

test.each(["https://claude.ai/api/mcp/auth_callback", "cursor://anysphere.cursor-mcp/oauth/callback"])(
  "without the internet nothing is sent to %s for a client whose document cannot be fetched",
  async (redirectUri) => {
    const page = await openConsent(startSuite({ bindings: env }), { ...CLIENT, redirectUri });
    expect(page.status).toBe(400);
    expect(page.handle).toBe("");
  },
);

test("a document goes before what was assumed without it", async () => {
  let answer = async (): Promise<Response> => await Promise.reject(new Error("offline"));
  const { suite } = startOnline(() => answer());
  const client = { ...CLIENT, redirectUri: "http://localhost:49152/callback" };
  expect((await openConsent(suite, client)).status).toBe(200);
  answer = async () => await Promise.resolve(Response.json(DOCUMENT));
  suite.clock.nowMs += 60_000;
  const form = await openConsent(suite, CLIENT);
  expect(form.markup).toContain("It is an app of <strong>apps.example.com</strong>");
});

test("where its host answers that something is wrong, the page says what was to be fetched, and what to do", async () => {
  const { suite } = startOnline(() => new Response(null, { status: 503 }));
  const page = await openConsent(suite, CLIENT);
  expect(page.status).toBe(400);
  expect(page.markup).toContain(`Pincer could not fetch ${URL_OF_CLIENT}, which describes the app.`);
  expect(page.markup).toContain("use an app that registers itself");
});

test("a deployed suite takes no client whose document cannot be fetched", async () => {
  const documents = createClientDocuments({
    publicUrl: "https://pincer.example.com",
    store: () => env.CLIENT_REGISTRY.get(env.CLIENT_REGISTRY.idFromName("clients")),
    fetch: async () => await Promise.reject(new Error("offline")),
    now: () => new Date(),
  });
  await expect(documents.open(URL_OF_CLIENT)).rejects.toThrow("Pincer could not fetch");
});

test("the token endpoint, where anybody may ask, fetches no document that no person has opened", async () => {
  const { suite, asked } = startOnline(() => Response.json(DOCUMENT));
  expect((await exchange(suite, CLIENT, "x")).status).toBe(401);
  expect((await refresh(suite, CLIENT, "x")).status).toBe(401);
  expect(asked).toEqual([]);
});

test("however many documents strangers have opened, those of clients that people have allowed are kept", async () => {
  const { suite } = startOnline(() => Response.json(DOCUMENT));
  const code = codeOf(await press(suite, await openConsent(suite, CLIENT)));
  const first = tokenAnswer.parse(await (await exchange(suite, CLIENT, code)).json());
  const registry = env.CLIENT_REGISTRY.get(env.CLIENT_REGISTRY.idFromName("clients"));
  await runInDurableObject(registry, (object) => {
    for (let stranger = 0; stranger < 1_001; stranger += 1) {
      const fetchedAtMs = suite.clock.nowMs + 1_000 + stranger;
      object.keepDocument(`https://strangers.example/${stranger}.json`, { body: "{}", fetchedAtMs });
    }
  });
  expect((await refresh(suite, CLIENT, first.refresh_token)).status).toBe(200);
  expect(await registry.findDocument("https://strangers.example/0.json")).toBeUndefined();
  expect(await registry.findDocument("https://strangers.example/1.json")).toBeDefined();
});

test("a document does not open addresses that nobody has listed, though it comes from their host", async () => {
  const redirectUri = "https://apps.example.com/cb";
  const { suite } = startOnline(() => Response.json({ ...DOCUMENT, redirect_uris: [redirectUri] }));
  const page = await openConsent(suite, { ...CLIENT, redirectUri });
  expect(page.status).toBe(400);
  expect(page.markup).toContain("have that address listed in REDIRECT_URIS");
});

test("script in a document arrives as text", async () => {
  const name = `<script>alert(1)</script>"onmouseover='x'\u202Eevil`;
  const { suite } = startOnline(() => Response.json({ ...DOCUMENT, client_name: name, client_uri: "javascript:x" }));
  const { markup } = await openConsent(suite, CLIENT);
  expect(markup).toContain("&lt;script&gt;alert(1)");
  expect(markup).not.toMatch(/<script|"onmouse|'x'|javascript:|\u202E/);
});
