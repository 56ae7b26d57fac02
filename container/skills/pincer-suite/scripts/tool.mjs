// Calls one of Pincer's tools from inside a sandbox, with Node alone:
//   node tool.mjs                    the tools there are
//   node tool.mjs --describe NAME    what one takes
//   node tool.mjs NAME ['{"a": 1}']  calls it
// PINCER_MCP_URL and PINCER_TOKEN lead it to a suite from elsewhere.
import { Buffer } from "node:buffer";
import { writeFileSync } from "node:fs";
import process from "node:process";

const MCP_URL = process.env.PINCER_MCP_URL ?? "http://pincer.internal/mcp";

async function ask(method, params) {
  const response = await fetch(MCP_URL, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      Accept: "application/json, text/event-stream",
      "MCP-Protocol-Version": "2025-11-25",
      ...(process.env.PINCER_TOKEN && { Authorization: `Bearer ${process.env.PINCER_TOKEN}` }),
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  const text = await response.text();
  const isStream = response.headers.get("Content-Type")?.startsWith("text/event-stream");
  // Progress comes before the answer.
  const events = isStream ? Array.from(text.matchAll(/^data: (.+)$/gm), ([, data]) => data) : [text];
  const answer = events.map(parse).find((message) => message?.result !== undefined || message?.error !== undefined);
  if (answer?.result !== undefined) return answer.result;
  throw new Error(answer?.error?.message ?? `${response.status}: ${text.slice(0, 1_000)}`);
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function listTools() {
  return (await ask("tools/list", {})).tools;
}

function show(name, content, index) {
  switch (content.type) {
    case "text":
      return content.text;
    case "image": {
      const file = `${name}-${index + 1}.${content.mimeType.split("/")[1]}`;
      writeFileSync(file, Buffer.from(content.data, "base64"));
      return `Saved ${file}`;
    }
    default:
      return JSON.stringify(content);
  }
}

async function main([name, ...rest]) {
  if (name === undefined) {
    for (const tool of await listTools()) console.log(`${tool.name}: ${tool.description}`);
    return;
  }
  if (name === "--describe") {
    const tool = (await listTools()).find((tool) => tool.name === rest[0]);
    if (tool === undefined) throw new Error(`There is no tool ${rest[0]}.`);
    console.log(JSON.stringify(tool, undefined, 2));
    return;
  }
  const input = parse(rest[0] ?? "{}");
  if (input === undefined) throw new Error("The tool's input has to be JSON.");
  const { content, isError } = await ask("tools/call", { name, arguments: input });
  const text = content.map((item, index) => show(name, item, index)).join("\n");
  if (isError) throw new Error(text);
  console.log(text);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.cause === undefined ? error.message : `${error.message}: ${error.cause.message}`);
  process.exitCode = 1;
});
