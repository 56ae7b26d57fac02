import type { KeyInput, Page } from "@cloudflare/puppeteer";
import { ToolError } from "../../shared/errors.ts";

/** Longer texts go in at once: a page that looks at each key does so for what a person would type. */
const MAX_TYPED_CHARS = 100;
/** What keys are called beside puppeteer's names. */
const ALIASES: Readonly<Record<string, string>> = {
  cmd: "Meta",
  command: "Meta",
  ctrl: "Control",
  del: "Delete",
  down: "ArrowDown",
  esc: "Escape",
  arrowdown: "ArrowDown",
  arrowleft: "ArrowLeft",
  arrowright: "ArrowRight",
  arrowup: "ArrowUp",
  left: "ArrowLeft",
  option: "Alt",
  pagedown: "PageDown",
  pageup: "PageUp",
  return: "Enter",
  right: "ArrowRight",
  up: "ArrowUp",
};
const MODIFIERS: ReadonlySet<string> = new Set(["Alt", "Control", "Meta", "Shift"]);

/** Types at the cursor: key by key, or as one insertion where it is long. */
export async function typeText(page: Page, text: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (text.length > MAX_TYPED_CHARS) return await page.keyboard.sendCharacter(text);
  for (const char of text) {
    signal.throwIfAborted();
    await page.keyboard.type(char);
  }
}

/** The keys of `Enter` or `Control+A`. Throws `invalid_input` where one of them is unknown. */
export function parseKeys(page: Page, chord: string): KeyInput[] {
  const names = chord.split(/(?<=.)\+/).map((name) => nameOf(name.trim() === "" ? name : name.trim()));
  const keys = names.filter((name) => isKey(page, name));
  if (keys.length === names.length && keys.slice(0, -1).every((key) => MODIFIERS.has(key))) return keys;
  throw new ToolError(
    "invalid_input",
    `There is no key ${JSON.stringify(chord.slice(0, 40))}; give one such as Enter, Tab, ArrowDown, a or Control+A.`,
  );
}

/** Presses the last key while the others are held. */
export async function pressKeys(page: Page, keys: readonly KeyInput[]): Promise<void> {
  const held: KeyInput[] = [];
  try {
    for (const key of keys) {
      held.push(key);
      await page.keyboard.down(key);
    }
  } finally {
    for (const key of held.toReversed()) await page.keyboard.up(key);
  }
}

/** Puppeteer's spelling, whatever case it was given in. */
function nameOf(name: string): string {
  if (name.length === 1) return name;
  const lower = name.toLowerCase();
  return ALIASES[lower] ?? `${lower[0]?.toUpperCase() ?? ""}${lower.slice(1)}`;
}

function isKey(page: Page, name: string): name is KeyInput {
  const { keyboard } = page;
  const isKnown: unknown = Reflect.get(keyboard, "charIsKey");
  return typeof isKnown === "function" && Reflect.apply(isKnown, keyboard, [name]) === true;
}
