import { expect, test } from "vitest";
import { parseLaunchOptions } from "../../container/local/launch/options.ts";

test("--allow-host takes a host with or without a port, and repeats", () => {
  const args = ["API.example.com", "localhost:3000", "10.0.0.5:80", "[::1]:8080", "under_score.test"].flatMap(
    (host) => ["--allow-host", host],
  );
  expect(parseLaunchOptions(args)?.allowedHosts).toEqual([
    "api.example.com",
    "localhost:3000",
    "10.0.0.5:80",
    "[::1]:8080",
    "under_score.test",
  ]);
  expect(parseLaunchOptions([])?.allowedHosts).toEqual([]);
});

test.each([
  "https://a.test",
  "a.test/path",
  "a.test:port",
  "a.test:70000",
  "a b",
  "user@a.test",
  "*.a.test",
  "",
  "a,b",
])("--allow-host %j is no host", (host) => {
  expect(() => parseLaunchOptions([`--allow-host=${host}`])).toThrow(
    `--allow-host ${host} is no host; give HOST or HOST:PORT, such as api.example.com:443.`,
  );
});
