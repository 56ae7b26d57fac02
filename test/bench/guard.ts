import { createHash, randomBytes } from "node:crypto";
import path from "node:path";
import { type Plugin, build } from "esbuild";
import type { V4WorkerOptions } from "miniflare";
import * as z from "zod";
import { loadWorker } from "../../container/local/worker-host/bundle.ts";
import { allow } from "../support/consent.ts";
import { connectOfficial } from "../support/mcp-clients.ts";
import { type Task, measure } from "./load.ts";
import { type Door, REFUSED_CALL, send } from "./mcp-requests.ts";
import { type BareWorker, startBareWorker } from "./servers.ts";
import { type Row, describe, of, versus } from "./table.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const TOKENS = 1_000;
const TOKENS_MADE_AT_ONCE = 10;
const CALLBACK = "http://localhost:4999/callback";

/**
 * What sign-in and limits cost: a call that is guarded beside one that is not, one by a gate beside one by an open gate,
 * many tokens at once, and a client's first call.
 */
export async function measureGuard(): Promise<Row[]> {
  await using guarded = await startBareWorker(await bundle());
  await using unguarded = await startBareWorker(await bundle(instead("resource-server.ts", "unguarded-server.ts")));
  await using open = await startBareWorker(await bundle(instead("gate.ts", "open-gate.ts")));
  return [
    await compareGuard(guarded.door, { mcpUrl: unguarded.door.mcpUrl }),
    await compareGate(guarded.door, open.door),
    ...(await useManyTokens(guarded)),
    await timeSignIn(guarded),
  ];
}

const load = { clients: 1, rounds: 16, perRound: 100 };

function task(name: string, door: Door): Task {
  return { name, run: async () => void (await send(door, "modern", REFUSED_CALL)) };
}

async function compareGate(gated: Door, open: Door): Promise<Row> {
  const measured = await measure([task("gated", gated), task("open", open)], load);
  const [own, other] = [of(measured, "gated"), of(measured, "open")];
  const what = "what limits and pauses add to a call, against the same Worker with its gate open";
  const value = own.p50Ms - other.p50Ms;
  return { what, measured: describe(own), against: describe(other), value, unit: " ms", target: 0.1 };
}

async function compareGuard(guarded: Door, unguarded: Door): Promise<Row> {
  const measured = await measure([task("guarded", guarded), task("unguarded", unguarded)], load);
  const what = "tools/call, guarded against the same Worker without its guard";
  return { ...versus(what, of(measured, "guarded"), of(measured, "unguarded")), target: 1.15 };
}

async function useManyTokens({ door, newToken }: BareWorker): Promise<Row[]> {
  const tokens: string[] = [];
  while (tokens.length < TOKENS) {
    tokens.push(...(await Promise.all(Array.from({ length: TOKENS_MADE_AT_ONCE }, newToken))));
  }
  let [next, refused] = [0, 0];
  const callInTurn = async (): Promise<void> => {
    const token = tokens[(next += 1) % TOKENS] ?? "";
    await send({ ...door, token }, "modern", REFUSED_CALL).catch(() => (refused += 1));
  };
  const measured = await measure(
    [
      { name: "one", run: async () => void (await send(door, "modern", REFUSED_CALL)) },
      { name: "many", run: callInTurn },
    ],
    { clients: 16, rounds: 3, perRound: TOKENS },
  );
  const what = `tools/call, 16 clients, ${TOKENS.toLocaleString("en")} tokens in turn, against one token`;
  return [
    versus(what, of(measured, "many"), of(measured, "one")),
    { what: "  those refused", value: refused, target: 0 },
  ];
}

async function timeSignIn(worker: BareWorker): Promise<Row> {
  const measured = await measure([{ name: "sign-in", run: async () => await signIn(worker) }], {
    ...{ clients: 1, rounds: 5, perRound: 1 },
  });
  const times = of(measured, "sign-in");
  const what = "from registering a client to its first tool result";
  return { what, measured: describe(times), value: times.p50Ms / 1_000, unit: " s", target: 1.5 };
}

/** What a client does that has never been here: registers, has its person consent, gets a token, and calls a tool. */
async function signIn({ url, door, signInCode }: BareWorker): Promise<void> {
  const clientId = await register(url);
  const verifier = randomBytes(32).toString("hex");
  const authorize = new URL("/authorize", url);
  authorize.search = new URLSearchParams({
    response_type: "code",
    client_id: clientId,
    redirect_uri: CALLBACK,
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
    resource: door.mcpUrl.href,
  }).toString();
  const code = (await allow(authorize, { code: signInCode })).searchParams.get("code") ?? "";
  const response = await fetch(`${url}/oauth/token`, {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "authorization_code",
      client_id: clientId,
      redirect_uri: CALLBACK,
      code,
      code_verifier: verifier,
    }),
  });
  const { access_token: token } = z.object({ access_token: z.string() }).parse(await response.json());
  await using client = await connectOfficial(door.mcpUrl, token, "modern");
  const answer = await client.callTool("files_list", {});
  if (answer.isError) throw new Error("The first call failed.");
}

async function register(url: string): Promise<string> {
  const response = await fetch(`${url}/oauth/register`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      client_name: "Bench",
      redirect_uris: [CALLBACK],
      token_endpoint_auth_method: "none",
    }),
  });
  return z.object({ client_id: z.string() }).parse(await response.json()).client_id;
}

/** Puts a file of this folder in the place of one of the Worker's, which it may itself import. */
function instead(file: string, other: string): Plugin {
  return {
    name: other,
    setup: ({ onResolve }) => {
      const replacement = path.join(import.meta.dirname, other);
      onResolve({ filter: new RegExp(`/${RegExp.escape(file)}$`) }, ({ importer }) =>
        importer === replacement ? undefined : { path: replacement },
      );
    },
  };
}

/** The product's Worker with its bindings, both of them bundled alike. */
export async function bundle(...plugins: Plugin[]): Promise<V4WorkerOptions> {
  const { outputFiles } = await build({
    entryPoints: [path.join(ROOT, "servers/worker.ts")],
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
    plugins,
  });
  const contents = outputFiles[0]?.text ?? "";
  return { ...(await loadWorker(() => undefined)), modules: [{ type: "ESModule", path: "worker.js", contents }] };
}
