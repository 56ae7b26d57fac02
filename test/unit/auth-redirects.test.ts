import { expect, test } from "vitest";
import { judgeRedirect } from "../../auth/redirects.ts";

test.each([
  "https://claude.ai/api/mcp/auth_callback",
  "https://claude.com/api/mcp/auth_callback",
  "cursor://anysphere.cursor-mcp/oauth/callback",
  "https://www.cursor.com/agents/mcp/oauth/callback",
  "https://vscode.dev/redirect",
  "https://insiders.vscode.dev/redirect",
  "https://chatgpt.com/connector/oauth/aB3-x_9",
  // Cursor; Claude Code; VS Code; mcp-remote; Inspector.
  "http://localhost:8787/callback",
  "http://localhost:54321/callback",
  "http://127.0.0.1:33418/",
  "http://127.0.0.1",
  "http://localhost:3334/oauth/callback",
  "http://localhost:6274/oauth/callback/debug",
  "http://[::1]:4000/cb",
])("a client may come back to %s", (address) => {
  expect(judgeRedirect(address, [])).toBe("allowed");
});

test.each([
  "https://evil.example/cb",
  "https://claude.ai.evil.example/api/mcp/auth_callback",
  "https://claude.ai/api/mcp/auth_callback/",
  "https://claude.ai/api/mcp/auth_callback?next=https://evil.example",
  "https://claude.ai/",
  "https://claude.ai:8443/api/mcp/auth_callback",
  "https://xn--laude-ofg.ai/api/mcp/auth_callback",
  "https://www.claude.ai/api/mcp/auth_callback",
  "https://chatgpt.com/connector/oauth/a/../../../evil",
  "https://chatgpt.com/connector/oauth/",
  "https://vscode.dev/redirect?url=https://evil.example",
  "cursor://evil.extension/oauth/callback",
  "cursor://anysphere.cursor-mcp/oauth/callback?x",
  "evil.app://claude.ai/cb",
])("%s is nobody's that is known", (address) => {
  expect(judgeRedirect(address, [])).toBe("unlisted");
});

test.each([
  "javascript:alert(1)//",
  "JavaScript:alert(1)",
  "data:text/html,x",
  "file:///etc/passwd",
  "blob:https://claude.ai/x",
  "view-source:https://claude.ai/",
  "intent://x#Intent;end",
  "http://evil.example/cb",
  "http://localhost.evil.example/callback",
  "http://0.0.0.0/cb",
  "http://10.0.0.1/cb",
  "http://169.254.169.254/latest",
  "https://claude.ai@evil.example/api/mcp/auth_callback",
  "https://user:pw@claude.ai/api/mcp/auth_callback",
  "https://evil.example\\@claude.ai/api/mcp/auth_callback",
  "https://*.claude.ai/api/mcp/auth_callback",
  "https://claude.ai/*",
  "https://claude.ai/api/mcp/auth_callback#",
  "https://claude.ai/api/mcp/auth_callback#fragment",
  "https://сlaude.ai/api/mcp/auth_callback",
  " https://claude.ai/api/mcp/auth_callback",
  "https://claude.ai/api/mcp/auth_callback\r\nSet-Cookie: x",
  "//claude.ai/api/mcp/auth_callback",
  "/callback",
  "",
])("%j is no address to send a browser to, even where it is listed", (address) => {
  expect(judgeRedirect(address, [address])).toBe("unsafe");
});

test("REDIRECT_URIS opens an address, or all below one that ends in a slash", () => {
  const listed = ["https://app.example.com/oauth/callback", "https://web.example.com/hooks/", "com.example.app:/cb"];
  for (const address of [
    "https://app.example.com/oauth/callback",
    "https://web.example.com/hooks/1/cb",
    "com.example.app:/cb",
  ]) {
    expect.soft(judgeRedirect(address, listed), address).toBe("allowed");
  }
  for (const address of [
    "https://app.example.com/oauth/callback/x",
    "https://web.example.com/hooks/../elsewhere",
    "https://web.example.com/hooks/%2e%2e/elsewhere",
    "https://web.example.com/hooks",
    "https://web.example.com.evil.example/hooks/1",
    "com.example.app:/other",
  ]) {
    expect.soft(judgeRedirect(address, listed), address).toBe("unlisted");
  }
});
