const SHOWN_LINES = 20;
const SHOWN_CHARS = 4_000;

/** What is worth showing of a program that did not do what it should. @param {string} text */
export function lastLines(text) {
  return text.trimEnd().split("\n").slice(-SHOWN_LINES).join("\n").slice(-SHOWN_CHARS);
}
