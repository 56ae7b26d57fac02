import { Problem } from "./presets.mjs";

const SUITE = "http://pincer.internal/";
const REVISION = "2026-07-28";
const ANSWERS_WITHIN_MS = 60_000;

/** What its person calls this sandbox; nothing where the suite does not answer, or does not answer this sandbox. */
export async function sandboxName() {
  const { sandbox } = parse(await ask(SUITE));
  return typeof sandbox === "string" ? sandbox : undefined;
}

/** Gives a port of this sandbox a URL that its person alone may open, or says why there is none. @param {number} port */
export async function exposePort(port) {
  try {
    const sandbox = await sandboxName();
    const { url } = await callTool("sandbox_expose", { sandbox, port });
    return { url: String(url) };
  } catch (failure) {
    if (failure instanceof Problem) return { problem: failure.message };
    throw failure;
  }
}

/**
 * Calls a tool of the suite, by the name that it has in here.
 * @param {string} name
 * @param {{ [name: string]: unknown }} input
 * @returns {Promise<Record<string, unknown>>}
 */
async function callTool(name, input) {
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": REVISION,
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const text = await ask(`${SUITE}mcp`, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      Accept: "application/json, text/event-stream",
      "MCP-Protocol-Version": REVISION,
      "Mcp-Method": "tools/call",
      "Mcp-Name": name,
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: input, _meta } }),
  });
  // A JSON answer, or the last event of a stream.
  const message = parse(/^data: (.*)$/m.exec(text)?.[1] ?? text);
  const { result, error } = message;
  if (result?.isError === false || (result !== undefined && result.isError === undefined)) {
    return result.structuredContent ?? {};
  }
  throw new Problem(result?.content?.[0]?.text ?? error?.message ?? "the suite does not answer in this sandbox.");
}

/** Its words; none where it does not answer. @param {string} url @param {RequestInit} init */
async function ask(url, init = {}) {
  return await fetch(url, { ...init, signal: AbortSignal.timeout(ANSWERS_WITHIN_MS) }).then(
    async (response) => await response.text(),
    () => "",
  );
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
