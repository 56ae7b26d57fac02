import { existsSync } from "node:fs";
import { symlink } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CHROME_FOLDER } from "../../container/local/chrome/bundled.ts";
import { findChrome } from "../../container/local/chrome/chrome.ts";
import { CACHE } from "../support/data-folder.ts";
import { runCode, startLocalSandboxes } from "./local-sandboxes.ts";

const SHOW = `
import plotly.graph_objects as go
figure = go.Figure(go.Bar(x=["a", "b"], y=[2, 3]), layout={"width": 320, "height": 240, "title": "Größe"})
figure.show()
figure`;

/** Width and height, from where a PNG has them. */
function sizeOf(base64 = ""): readonly [number, number] {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const png = new DataView(bytes.buffer);
  expect(png.getUint32(0)).toBe(0x89_50_4e_47);
  return [png.getUint32(16), png.getUint32(20)];
}

test("figures of plotly are pictures, shown or as a cell's value, without any network", async () => {
  await using sandboxes = await startLocalSandboxes();
  const found = await findChrome({ dataDir: CACHE, report: () => undefined, path: "", origin: "bundled" });
  expect(found.found).toBe(true);
  await symlink(join(CACHE, CHROME_FOLDER), join(sandboxes.dataDir, CHROME_FOLDER));
  const sandbox = sandboxes.open();
  const { results, error } = await runCode(sandbox, SHOW, { timeoutMs: 45_000 });
  expect(error).toBeUndefined();
  expect(results).toEqual([{ png: expect.any(String) }, { png: expect.any(String) }]);
  for (const { png } of results) expect(sizeOf(png)).toEqual([320, 240]);
  // Nothing of an empty plot's size says that it was drawn; bars do.
  const empty = await runCode(sandbox, "figure.data = []\nfigure");
  expect(results[0]?.png).not.toBe(empty.results[0]?.png);
  const bad = await runCode(sandbox, "go.Figure(layout={'width': 50_000, 'height': 50_000})");
  expect(bad.results[0]?.html).toContain("Plotly.newPlot");
});

test.skipIf(existsSync("/usr/lib/chromium/chromium"))(
  "a figure of plotly is a page where there is no Chrome to draw it (skipped where /usr has one)",
  async () => {
    await using sandboxes = await startLocalSandboxes();
    const { results } = await runCode(sandboxes.open(), SHOW);
    expect(results).toHaveLength(2);
    for (const { html } of results) expect(html).toMatch(/cdn\.plot\.ly[^]*Plotly\.newPlot/);
  },
);
