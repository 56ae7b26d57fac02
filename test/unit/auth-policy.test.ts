import { expect, test } from "vitest";
import { grantOf, offerFor, withinRole } from "../../auth/policy.ts";
import { ALL_SCOPES, SCOPES, isScope, withImplied } from "../../auth/scopes.ts";

test("a grant is what was ticked of the offer, and what it reaches anyway", () => {
  const offer = offerFor(["sandbox:exec", "browser:read"], "/mcp", "member");
  expect(offer.scopes).toEqual(["sandbox:exec", "files:read", "files:write", "browser:read"]);
  expect(grantOf(["sandbox:exec", "admin", "delegate:run"], offer)).toEqual([
    "sandbox:exec",
    "files:read",
    "files:write",
  ]);
  expect(grantOf([], offer)).toEqual([]);
});

test("no role is granted more than its own", () => {
  expect(offerFor(["admin"], "/mcp", "member")).toEqual({ scopes: [], ticked: [] });
  expect(offerFor(["admin"], "/mcp", "admin")).toEqual({ scopes: ["admin"], ticked: [] });
  expect(offerFor([], "/mcp", "reader").scopes).toEqual(["files:read", "browser:read"]);
  expect(withinRole(ALL_SCOPES, "reader")).toEqual(["files:read", "browser:read"]);
  expect(withinRole(["files:read", "root", "__proto__"], "admin")).toEqual(["files:read"]);
});

test("a reader is not offered a scope through one that implies it", () => {
  expect(offerFor(["sandbox:exec"], "/mcp/sandbox", "reader").scopes).toEqual(["files:read"]);
  expect(withinRole(withImplied(["sandbox:exec"]), "reader")).toEqual(["files:read"]);
});

test("names that every object has are no scopes", () => {
  for (const name of ["constructor", "toString", "__proto__", "hasOwnProperty", ""]) expect(isScope(name)).toBe(false);
  expect(Object.keys(SCOPES).every(isScope)).toBe(true);
});
