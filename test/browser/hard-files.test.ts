import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ARCHIVE, MOVIE } from "./hard-pages/downloads.ts";
import { type HardVisit, startHardVisit } from "./hard-visit.ts";

let visit: HardVisit;
beforeAll(async () => {
  visit = await startHardVisit();
});
afterAll(async () => await visit[Symbol.asyncDispose]());

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Links to the files that a call left behind. */
async function linksOf(tool: string, input: Readonly<Record<string, unknown>>) {
  const answer = await visit.call(tool, input);
  if (!answer.ok) throw new Error(answer.message);
  return answer.attachments.filter((attachment) => attachment.type === "link");
}

describe("a download", () => {
  test.each([
    ['link "Report by header"', "report.csv", bytesOf("a,b\n1,2\n")],
    ['link "Notes by attribute"', "notes.txt", bytesOf("some notes\n")],
    ['button "Export by script"', "export.txt", bytesOf("made by a script\n")],
    ['link "Table in the link"', "inline.csv", bytesOf("a,b\n1,2\n")],
    ['link "Archive without length"', "archive.bin", ARCHIVE],
    ['link "Movie of some megabytes"', "movie.bin", MOVIE],
    ['button "Invoice by form"', "invoice.txt", bytesOf("your invoice\n")],
  ])("started by the %s lands in files, whole", async (what, name, bytes) => {
    await visit.open("/downloads");
    const [link, ...more] = await linksOf("browser_click", { ref: await visit.refOf(what) });
    expect(more).toEqual([]);
    expect(link).toMatchObject({ path: expect.stringMatching(`-${name}$`), sizeBytes: bytes.length });
    expect(hashOf(await visit.readFile(link?.path ?? ""))).toBe(hashOf(bytes));
  });

  test("of more than 50 MB is left, and said to be, and the next one comes", { timeout: 120_000 }, async () => {
    await visit.open("/downloads");
    const told = [await visit.call("browser_click", { ref: await visit.refOf('link "Huge archive"') })];
    const isTold = (): boolean => JSON.stringify(told).includes("Note: A download of more than 50 MB was left;");
    // What takes a busy machine longer than a call waits is told by a later one.
    const callAgain = async (): Promise<boolean> => {
      if (!isTold()) told.push(await visit.call("browser_evaluate", { script: "1" }));
      return isTold();
    };
    await expect.poll(callAgain, { timeout: 60_000, interval: 500 }).toBe(true);
    for (const answer of told) expect(answer).toMatchObject({ ok: true, attachments: [] });
    expect(await linksOf("browser_click", { ref: await visit.refOf('link "Report by header"') })).toHaveLength(1);
  });

  test("that says to be too large is left at once", async () => {
    const text = await visit.read("browser_open", { url: `${visit.origin}/downloads/too-large` });
    expect(text).toContain("Note: A download of more than 50 MB was left; fetch it in the sandbox instead.");
  });

  test("that breaks off is not kept, and said to be lost", async () => {
    await visit.open("/downloads");
    const answer = await visit.call("browser_click", {
      ref: await visit.refOf('link "Archive that breaks off"'),
    });
    expect(answer).toMatchObject({ ok: true, attachments: [] });
    expect(answer).toMatchObject({ text: expect.stringContaining("Note: A download was lost; try again.") });
  });

  test("with a name that leads elsewhere stays among the caller's files", async () => {
    await visit.open("/downloads");
    const [link] = await linksOf("browser_click", { ref: await visit.refOf('link "Bad name"') });
    expect(link?.path).toMatch(/^artifacts\/[\d-]+\/[\w.-]+$/);
  });
});

describe("a PDF", () => {
  test("that is opened as a page lands in files", async () => {
    const [link] = await linksOf("browser_open", { url: `${visit.origin}/document.pdf` });
    expect(link).toMatchObject({ path: expect.stringMatching("-document.pdf$"), mimeType: "application/pdf" });
    const pdf = new TextDecoder().decode(await visit.readFile(link?.path ?? ""));
    expect(pdf).toContain("Pincer report, page one");
  });
});

describe("files", () => {
  const photo = new Uint8Array(70_000).map((_, index) => index % 253);
  const line = (field: string, name: string, bytes: Uint8Array): string => `${field}: ${name}, ${bytes.length} bytes`;

  test("are sent by the fields of a form, one and many", async () => {
    await visit.writeFile("out/photo.png", photo);
    await visit.writeFile("out/ä b.txt", bytesOf("hello"));
    await visit.open("/uploads");
    const shown = await visit.see();
    const refs = [...shown.matchAll(/\[(e\d+)\] (?:button|file) "(?:One file|Many files)/g)].map(([, ref]) => ref);
    await visit.read("browser_fill", {
      fields: [
        { ref: refs[0], value: "out/photo.png" },
        { ref: refs[1], value: "out/photo.png\nout/ä b.txt" },
      ],
    });
    const sent = await visit.click('button "Send"');
    expect(sent).toContain(line("one", "photo.png", photo));
    expect(sent).toContain(line("many", "photo.png", photo));
    expect(sent).toContain(line("many", "ä b.txt", bytesOf("hello")));
    expect(sent).toContain(hashOf(photo));
    expect(sent).toContain(hashOf(bytesOf("hello")));
  });

  test("are sent by a button that opens a chooser", async () => {
    await visit.writeFile("out/photo.png", photo);
    await visit.open("/uploads");
    const asked = await visit.click('button "Choose a picture"');
    const [, ref] = /give it to (e\d+) with browser_fill/.exec(asked) ?? [];
    const sent = await visit.read("browser_fill", { fields: [{ ref, value: "out/photo.png" }] });
    expect(sent).toContain(line("chosen", "photo.png", photo));
    expect(sent).toContain(hashOf(photo));
  });

  test("that are not there are not sent", async () => {
    await visit.open("/uploads");
    expect(
      await visit.call("browser_fill", {
        fields: [{ ref: await visit.refOf('button "One file"'), value: "out/none.png" }],
      }),
    ).toMatchObject({ ok: false, code: "not_found" });
    expect(await visit.see()).toContain("Nothing sent");
  });
});
