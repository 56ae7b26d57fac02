import { expect, test } from "vitest";
import { refuseStranger } from "../../servers/core/http.ts";

function statusFor(publicUrl: string, host: string): number | undefined {
  const request = new Request("http://localhost/mcp", { headers: { Host: host } });
  return refuseStranger(request, { publicUrl: new URL(publicUrl), isLocal: true })?.status;
}

test("a local suite answers to each name of this machine, on its own port alone", () => {
  for (const name of ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"]) {
    expect.soft(statusFor("http://localhost:8717", `${name}:8717`), name).toBeUndefined();
    expect.soft(statusFor("http://localhost:8717", name), name).toBe(421);
    expect.soft(statusFor("http://localhost:80", name), name).toBeUndefined();
    expect.soft(statusFor("http://localhost:80", `${name}:8717`), name).toBe(421);
  }
  expect(statusFor("http://localhost:8717", "evil.example:8717")).toBe(421);
});
