import type { RunningSuite } from "./suite.ts";

/** What a person needs to connect a client, each line ready to paste. */
export function banner({ url, signInCode, driver, browser, model, dataDir, logFile }: RunningSuite): string {
  const endpoint = `${url}/mcp`;
  const remote = { mcpServers: { pincer: { command: "npx", args: ["-y", "mcp-remote", endpoint] } } };
  const cursor = { mcpServers: { pincer: { url: endpoint } } };
  const vscode = { name: "pincer", type: "http", url: endpoint };
  return `
Pincer serves ${endpoint}

  sign-in code  ${signInCode}
  sandbox       ${driver}
  browser       ${browser}
  sub-agents    ${model}
  data          ${dataDir}
  log           ${logFile}
  your pages    ${url}/account

Claude Code:
  claude mcp add --transport http pincer ${endpoint}

Claude Desktop (claude_desktop_config.json):
  ${JSON.stringify(remote)}

Cursor (~/.cursor/mcp.json):
  ${JSON.stringify(cursor)}

VS Code:
  code --add-mcp '${JSON.stringify(vscode)}'

A client opens a page that asks for the sign-in code, Claude Code when you type /mcp. For scripts, npm run token prints a token.
`;
}
