import { expect, test } from "vitest";
import { serve, startTestProxy } from "../egress/loopback.ts";
import { run, startLocalSandboxes } from "./local-sandboxes.ts";

const FETCH =
  "import urllib.request as u, sys\ntry: print(u.urlopen(sys.argv[1]).read().decode())\nexcept u.HTTPError as e: print(e.code)";

test("with an egress proxy, programs reach what it allows, through it alone", async () => {
  await using web = await serve((request, response) => response.end(`you asked for ${request.url}`));
  const outside = "93.184.216.34";
  await using egress = await startTestProxy({
    mode: "sandbox",
    allowedHosts: ["site.test"],
    names: { "site.test": [[outside]] },
    world: { [`${outside}:80`]: web.port },
  });
  await using sandboxes = await startLocalSandboxes({ egressSocket: egress.proxy.socketPath });
  const sandbox = sandboxes.open();
  await sandbox.writeFile("fetch.py", new TextEncoder().encode(FETCH));
  expect((await run(sandbox, "python3 fetch.py http://site.test/page")).stdout.text).toBe("you asked for /page\n");
  expect(
    (await run(sandbox, `node -e 'fetch("http://site.test/node").then(r => r.text()).then(console.log)'`)).stdout.text,
  ).toBe("you asked for /node\n");
  expect((await run(sandbox, "python3 fetch.py http://169.254.169.254/")).stdout.text).toBe("403\n");
  expect((await run(sandbox, "python3 fetch.py http://other.test/")).stdout.text).toMatch(/^(403|502)\n$/);
  expect((await run(sandbox, `http_proxy= python3 fetch.py http://${outside}/`)).stderr.text).toMatch(/unreachable/);
});

test("a proxy that is gone leaves a sandbox without a way out, and working", async () => {
  await using sandboxes = await startLocalSandboxes({ egressSocket: "/nonexistent/egress.sock" });
  expect(await run(sandboxes.open(), "echo works")).toMatchObject({ exitCode: 0, stdout: { text: "works\n" } });
});
