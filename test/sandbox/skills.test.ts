import { expect, test } from "vitest";
import { readSkills } from "../../container/pack-skills.ts";
import { run, startLocalSandboxes } from "./local-sandboxes.ts";

test("every skill is in a sandbox, as it is here, to be read and not to be changed", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const skills = await readSkills();
  const paths = Object.entries(skills).flatMap(([name, texts]) => Object.keys(texts).map((path) => `${name}/${path}`));
  const found = await run(sandbox, "cd /opt/skills && find . -type f | sed 's#^./##' | LC_ALL=C sort");
  expect(found.stdout.text.trim().split("\n")).toEqual(paths.toSorted());
  for (const [name, texts] of Object.entries(skills)) {
    expect((await run(sandbox, `cat /opt/skills/${name}/SKILL.md`)).stdout.text).toBe(texts["SKILL.md"]);
  }
  const changed = await run(
    sandbox,
    "echo more >> /opt/skills/pincer-files/SKILL.md; touch /opt/skills/new; ls /opt/skills",
  );
  expect(changed.stderr.text).toMatch(/(denied|Read-only file system).*Read-only file system/s);
  expect(changed.stdout.text.trim().split("\n")).toEqual(Object.keys(skills).toSorted());
});

test("the scripts of the skills start in a sandbox, and say what is missing", async () => {
  await using sandboxes = await startLocalSandboxes();
  const sandbox = sandboxes.open();
  const usage = await run(sandbox, "node /opt/skills/pincer-browser/scripts/record.mjs");
  expect(usage).toMatchObject({ exitCode: 1, stdout: { text: "" } });
  expect(usage.stderr.text).toMatch(/^Usage: node record\.mjs OUT\.png SECONDS/);
  const unreachable = await run(
    sandbox,
    "PINCER_MCP_URL=http://127.0.0.1:9/mcp node /opt/skills/pincer-suite/scripts/tool.mjs files_list",
  );
  expect(unreachable).toMatchObject({ exitCode: 1, stdout: { text: "" } });
  expect(unreachable.stderr.text).toMatch(/^fetch failed: /);
});
