import { expect, test } from "vitest";
import { createArtifacts } from "../../servers/core/artifacts.ts";
import { keepOutput } from "../../servers/interpreter/output.ts";
import { ToolError } from "../../servers/shared/errors.ts";
import { openFiles, textOf } from "./open-files.ts";

const now = () => new Date("2026-11-22T12:34:56Z");
const figure = { name: "figure.svg", mimeType: "image/svg+xml", content: "<svg/>", madeBy: { tool: "test" } };

test("what a tool makes is kept in the day's folder under a name of its own, and linked", async () => {
  const files = openFiles("maker");
  const artifacts = createArtifacts(files, now);
  const [first, second] = [await artifacts.attach(figure), await artifacts.keep(figure)];
  if (first.type !== "link") throw new Error("There is room for it.");
  expect(first).toMatchObject({ mimeType: "image/svg+xml", sizeBytes: 6 });
  expect(first.path).toMatch(/^artifacts\/2026-11-22\/123456-[0-9a-f]{8}-figure\.svg$/);
  expect(second.path).not.toBe(first.path);
  expect(await textOf((await files.read(first.path)).body)).toBe("<svg/>");
});

test("a result is not lost because there is no room for what belongs to it: a note says why", async () => {
  const full = { ...openFiles("full-maker"), write: () => Promise.reject(new ToolError("limit_reached", "Full.")) };
  const artifacts = createArtifacts(full, now);
  const note = "figure.svg is not kept in your files. Full.";
  expect(await artifacts.attach(figure)).toEqual({ type: "note", text: note });
  await expect(artifacts.keep(figure)).rejects.toMatchObject({ code: "limit_reached" });
  const broken = { ...full, write: () => Promise.reject(new TypeError("a defect")) };
  await expect(createArtifacts(broken, now).attach(figure)).rejects.toThrow("a defect");
  // The same through a tool's own hands: the picture is shown all the same.
  const shown = await keepOutput({ png: "iVBORw0KGgo=" }, { artifacts });
  expect(shown.map(({ type }) => type)).toEqual(["image", "note"]);
});
