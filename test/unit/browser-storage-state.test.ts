import { expect, test } from "vitest";
import { describeStorage, formatStorageState, parseStorageState } from "../../servers/browser/chrome/storage-state.ts";

const COOKIE = { name: "session", value: "secret", domain: "example.com" };

test("a file of Playwright's is read, its gaps filled, what is not known left out", () => {
  const state = parseStorageState(
    JSON.stringify({
      cookies: [{ ...COOKIE, path: "/app", expires: -1, httpOnly: true, secure: true, sameSite: "Lax" }, COOKIE],
      origins: [
        { origin: "https://example.com", localStorage: [{ name: "a", value: "b" }], indexedDB: [{ name: "db" }] },
      ],
    }),
  );
  expect(state).toEqual({
    cookies: [
      { ...COOKIE, path: "/app", expires: -1, httpOnly: true, secure: true, sameSite: "Lax" },
      { ...COOKIE, path: "/", expires: -1, httpOnly: false, secure: false },
    ],
    origins: [{ origin: "https://example.com", localStorage: [{ name: "a", value: "b" }] }],
  });
  expect(parseStorageState(formatStorageState(state))).toEqual(state);
  expect(describeStorage(state)).toBe("2 cookies and 1 item of 1 site");
});

test("a cookie for one site's pages alone is not made one for all", () => {
  const { cookies } = parseStorageState(
    JSON.stringify({ cookies: [{ ...COOKIE, partitionKey: "https://top.example" }] }),
  );
  expect(cookies).toEqual([]);
});

test.each([
  ["no JSON", "That file holds no browser's storage; give"],
  ["[1]", "That file holds no browser's storage; give"],
  [JSON.stringify({ cookies: [{ ...COOKIE, value: 7 }] }), "storage (cookies.0.value is not as it should be); give"],
  [JSON.stringify({ cookies: [{ ...COOKIE, sameSite: "secret" }] }), "(cookies.0.sameSite is not as it should be)"],
  [JSON.stringify({ origins: [{ origin: "file:///etc" }] }), "(origins.0.origin is not as it should be)"],
  [JSON.stringify({ origins: [{ origin: "https://example.com/path" }] }), "(origins.0.origin is not as it should be)"],
  [JSON.stringify({ origins: [{ origin: "javascript:secret" }] }), "(origins.0.origin is not as it should be)"],
])("a file that holds something else is refused without repeating it: %s", (json, message) => {
  const parse = (): unknown => parseStorageState(json);
  expect(parse).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining(message) }));
  expect(parse).toThrow(expect.objectContaining({ message: expect.not.stringContaining("secret") }));
});

test("more than 5 MB is neither read nor written", () => {
  const big = {
    cookies: [],
    origins: [{ origin: "https://a.example", localStorage: [{ name: "a", value: "é".repeat(2_600_000) }] }],
  };
  expect(() => parseStorageState(JSON.stringify(big))).toThrow(expect.objectContaining({ code: "too_large" }));
  expect(() => formatStorageState(big)).toThrow(expect.objectContaining({ code: "too_large" }));
});
