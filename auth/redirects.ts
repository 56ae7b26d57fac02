import { isLoopbackRedirect, isSafeRedirect } from "../servers/shared/redirect-address.ts";

/** Where the web clients and apps that people use come back to. Each is whole: their hosts serve other things too. */
const KNOWN = [
  "https://claude.ai/api/mcp/auth_callback",
  "https://claude.com/api/mcp/auth_callback",
  "cursor://anysphere.cursor-mcp/oauth/callback",
  "https://www.cursor.com/agents/mcp/oauth/callback",
  "https://vscode.dev/redirect",
  "https://insiders.vscode.dev/redirect",
];

/** ChatGPT gives each connector an address of its own. */
const CHATGPT = /^https:\/\/chatgpt\.com\/connector\/oauth\/[\w-]{1,128}$/;

/** `unlisted` is safe in itself, but nobody has said that whoever is there may be given access. */
export type RedirectVerdict = "allowed" | "unlisted" | "unsafe";

/**
 * Judges the address that a client wants its code sent to. Anybody may register a client under any name, and people
 * press Allow for names that they know: so a code leaves for the known clients, for apps on the person's own machine,
 * and for what `REDIRECT_URIS` lists, and for nobody else, however plainly the page would show them.
 */
export function judgeRedirect(address: string, listed: readonly string[]): RedirectVerdict {
  if (!isSafeRedirect(address)) return "unsafe";
  const isAllowed =
    isLoopbackRedirect(address) ||
    KNOWN.includes(address) ||
    CHATGPT.test(address) ||
    listed.some((entry) => isAtOrBelow(address, entry));
  return isAllowed ? "allowed" : "unlisted";
}

/** Compared as the browser will read it, so that `/callback/../elsewhere` is elsewhere. */
function isAtOrBelow(address: string, entry: string): boolean {
  return address === entry || (entry.endsWith("/") && new URL(address).href.startsWith(entry));
}
