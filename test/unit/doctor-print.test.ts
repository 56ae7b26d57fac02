import { expect, test } from "vitest";
import { describeDiagnosis } from "../../container/local/doctor/print.ts";

const checks = [
  { name: "One", state: "ok", says: "It works.", took_ms: 1 },
  { name: "Another", state: "broken", says: "It does not.", todo: "Mend it.", took_ms: 2 },
  { name: "Third", state: "off", says: "Not set.", todo: "Set it.", took_ms: 0 },
] as const;

test("checks are aligned, and what is not well says below what to do", () => {
  const said = describeDiagnosis({ machine: checks }, false);
  expect(said).toBe(
    [
      "This machine",
      "  ok       One      It works.",
      "  broken   Another  It does not.",
      "                    → Mend it.",
      "  off      Third    Not set.",
      "                    → Set it.",
      "",
      "No suite runs on that data folder: npm start starts one.",
      "",
      "1 broken, 0 warnings.",
    ].join("\n"),
  );
  expect(describeDiagnosis({ machine: checks }, true)).toContain("  \u001B[31mbroken \u001B[0m  Another");
});

test("what a person calls themselves does not command the terminal", () => {
  const error = {
    reference: "r1",
    at: "2026-11-28T00:00:00Z",
    tool: "files_read",
    user_id: "u",
    person: "ann\u001B[2J\u009B1m\u202E\nx",
  };
  const suite = { url: "https://pincer.example.com", checks, versions: [], errors: [error] };
  expect(describeDiagnosis({ suite }, false)).toContain("  2026-11-28T00:00:00Z  files_read  ann[2J1m x  r1\n");
});
