import { readFile, readdir } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import * as z from "zod";
import { PRESETS } from "../../servers/admin/presets.ts";

const presetSchema = z.object({ install: z.record(z.string(), z.string()), kept: z.array(z.string()) });

const FOLDER = path.resolve(import.meta.dirname, "../../container/presets");

test("the pages offer every preset that there is, as it describes itself", async () => {
  const folders = (await readdir(FOLDER)).filter((name) => name !== "program");
  expect(PRESETS.map(({ name }) => name).toSorted()).toEqual(folders);
  for (const preset of PRESETS) {
    const text = await readFile(path.join(FOLDER, preset.name, "preset.json"), "utf8");
    expect(preset).toEqual({ name: preset.name, ...JSON.parse(text) });
  }
});

test.each(PRESETS)("the versions of $name are exact, and what lasts lies where snapshots hold it", async ({ name }) => {
  const preset = presetSchema.parse(JSON.parse(await readFile(path.join(FOLDER, name, "preset.json"), "utf8")));
  for (const version of Object.values(preset.install)) expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  expect(preset.kept.length).toBeGreaterThan(0);
  for (const folder of preset.kept) expect(folder).not.toMatch(/^(?:\.cache|files|\/)|\.\./);
});
