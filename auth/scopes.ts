/** Every permission there is, with the words that the consent page says it in. */
export const SCOPES = {
  "sandbox:exec":
    "Run shell commands in your Linux sandbox, and from there use your files, browser, sub-agents and model",
  "interpreter:run":
    "Run Python and JavaScript in your sandbox, and from there use your files, browser, sub-agents and model",
  "files:read": "Read your files",
  "files:write": "Create, change and delete your files, and make share links",
  "browser:read": "Open web pages, read them and take pictures",
  "browser:act": "Click, type and submit forms on web pages",
  "delegate:run": "Start sub-agents that use the same tools and spend money on a model",
  admin: "Administer this deployment",
} as const;

export type Scope = keyof typeof SCOPES;

export const ALL_SCOPES = Object.keys(SCOPES).filter(isScope);

export function isScope(value: string): value is Scope {
  return Object.hasOwn(SCOPES, value);
}

/** What a scope reaches anyway: commands and code see the files through the mount. */
const IMPLIED: Partial<Record<Scope, readonly Scope[]>> = {
  "sandbox:exec": ["files:read", "files:write"],
  "interpreter:run": ["files:read", "files:write"],
};

/** What a scope gives beside itself. */
export function impliedBy(scope: Scope): readonly Scope[] {
  return IMPLIED[scope] ?? [];
}

/** The scopes with everything that they imply, each once, in their usual order. */
export function withImplied(scopes: readonly Scope[]): Scope[] {
  const all = new Set(scopes.flatMap((scope) => [scope, ...impliedBy(scope)]));
  return ALL_SCOPES.filter((scope) => all.has(scope));
}
