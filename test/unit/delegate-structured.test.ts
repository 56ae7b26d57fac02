import { expect, test } from "vitest";
import { schemaProblem, structuredResult, uncheckedNote } from "../../servers/delegate/structured-result.ts";

/** Each definition asks for the next one twice: two to the power of `depth` checks of the same value. */
function doubling(depth: number): string {
  const names = Array.from({ length: depth }, (_, index) => `d${index}`);
  const $defs = Object.fromEntries(
    names.map((name, index) => [name, { allOf: [ref(`d${index + 1}`), ref(`d${index + 1}`)] }]),
  );
  return JSON.stringify({ ...ref("d0"), $defs: { ...$defs, [`d${depth}`]: { type: "null" } } });
}

function ref(name: string): { $ref: string } {
  return { $ref: `#/$defs/${name}` };
}

test.each([
  ["refers to itself without end", JSON.stringify({ $ref: "#" }), /^Maximum call stack size exceeded$/],
  [
    "refers to elsewhere",
    JSON.stringify({ $ref: "https://example.com/a" }),
    /^Unresolved \$ref "https:\/\/example.com\/a"\.$/,
  ],
  ["asks for more checks than anybody waits for", doubling(40), /^It takes too many steps to check\.$/],
])("a schema that %s is refused in one sentence", (_, schema, problem) => {
  expect(schemaProblem(schema)).toMatch(problem);
});

test("a schema that refers to itself within bounds is checked", () => {
  const schema = JSON.stringify({ type: "object", properties: { next: { $ref: "#" } }, additionalProperties: false });
  expect(schemaProblem(schema)).toBeUndefined();
  expect(structuredResult('{"next":{"next":{}}}', schema)).toEqual({ ok: true, json: '{"next":{"next":{}}}' });
  expect(structuredResult('{"next":{"last":1}}', schema)).toMatchObject({ ok: false });
});

test("a large result that fits is taken", () => {
  const row = { type: "object", properties: { id: { type: "integer" }, name: { type: "string" } }, required: ["id"] };
  const rows = Array.from({ length: 10_000 }, (_, id) => ({ id, name: `row ${id}` }));
  const schema = JSON.stringify({ type: "array", items: row });
  expect(structuredResult(JSON.stringify(rows), schema)).toEqual({ ok: true, json: JSON.stringify(rows) });
});

test.each([
  ["nests deeper than can be checked", "[".repeat(50_000) + "]".repeat(50_000), { items: { $ref: "#" } }],
  ["compares more elements than anybody waits for", JSON.stringify([...Array(20_000).keys()]), { uniqueItems: true }],
])("a result that %s does not fit, and the model is told why", (_, text, schema) => {
  expect(structuredResult(text, JSON.stringify(schema))).toEqual({
    ok: false,
    problem: expect.stringMatching(/^It cannot be checked: [^\n]{10,200}$/),
  });
});

test("patterns are left to the model, since one of them could keep everybody waiting; all else is checked", () => {
  const schema = JSON.stringify({
    type: "object",
    properties: { pattern: { type: "string", pattern: "^(a+)+$" }, kind: { enum: [{ pattern: "x" }] } },
    patternProperties: { "^(b+)+$": { type: "string" } },
    additionalProperties: false,
    required: ["pattern"],
  });
  const fits = JSON.stringify({ pattern: `${"a".repeat(50)}!`, kind: { pattern: "x" }, bbb: 1 });
  expect(structuredResult(fits, schema)).toEqual({ ok: true, json: fits });
  expect(structuredResult('{"pattern":1}', schema)).toMatchObject({ ok: false });
  expect(structuredResult('{"pattern":"a","kind":{"pattern":"y"}}', schema)).toMatchObject({ ok: false });
  expect(uncheckedNote(schema)).toMatch(/^output_schema: pattern/);
  expect(uncheckedNote('{"type":"object","properties":{"pattern":{"type":"string"}}}')).toBeUndefined();
});

test.each([
  ["JSON alone", '{"n":1}'],
  ["a fence around it", '```json\n{"n":1}\n```'],
  ["words around the fence", 'Here it is:\n```\n{"n":1}\n```\nThat is all.'],
])("%s is taken for the result", (_, text) => {
  expect(structuredResult(text, "{}")).toEqual({ ok: true, json: '{"n":1}' });
});

test.each([
  ["a fence before nothing but lines", `\`\`\`${"\n".repeat(200_000)}`],
  ["fences that nothing closes", "```\nx".repeat(100_000)],
])("%s is no JSON, and that is soon found out", (_, text) => {
  expect(structuredResult(text, "{}")).toEqual({ ok: false, problem: "It is not JSON." });
});
