import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Answer, type BrowserSuite, type Person, startBrowserSuite } from "./browser-suite.ts";
import { type Site, serveSite } from "./pages.ts";

let site: Site;
let suite: BrowserSuite;
let person: Person;
beforeAll(async () => {
  site = await serveSite("127.0.0.1", {
    "/": "<title>Home</title><p>home</p>",
    "/wide": `<body style="margin:0"><button style="width:3000px;height:50px">Wide</button>`,
    "/tall": `<body style="margin:0"><div style="height:30000px;background:linear-gradient(red,blue)">tall</div>`,
    "/noise": `<body style="margin:0"><canvas id="c" width="1280" height="8000"></canvas><script>
      const g = c.getContext("2d"); const d = g.createImageData(1280, 8000);
      for (let i = 0; i < d.data.length; i += 4) { const n = Math.random() * 0xffffff; d.data[i] = n & 255; d.data[i + 1] = (n >> 8) & 255; d.data[i + 2] = (n >> 16) & 255; d.data[i + 3] = 255; }
      g.putImageData(d, 0, 0);</script>`,
  });
  suite = await startBrowserSuite([site.host]);
  person = suite.person();
});
afterAll(async () => {
  await suite[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});

interface Picture {
  readonly text: string;
  readonly mimeType: string;
  readonly width: number;
  readonly height: number;
  readonly bytes: Uint8Array;
}

async function take(input: Readonly<Record<string, unknown>> = {}): Promise<Picture> {
  const answer: Answer = await person.call("browser_screenshot", input);
  if (!answer.ok) throw new Error(answer.message);
  const [image, link] = answer.attachments;
  if (image?.type !== "image" || link?.type !== "link") throw new Error("There is no picture with a link to its file.");
  const bytes = Uint8Array.from(atob(image.base64), (char) => char.charCodeAt(0));
  expect(link).toMatchObject({
    path: expect.stringMatching(/^artifacts\/.*-screenshot\.(png|jpg)$/),
    mimeType: image.mimeType,
    sizeBytes: bytes.length,
  });
  return { text: answer.text, mimeType: image.mimeType, bytes, ...sizeOf(bytes) };
}

/** Of a PNG by its header, of a JPEG by its frame. */
function sizeOf({ buffer, byteOffset, byteLength }: Uint8Array): { readonly width: number; readonly height: number } {
  const view = new DataView(buffer, byteOffset, byteLength);
  if (view.getUint32(0) === 0x89504e47) return { width: view.getUint32(16), height: view.getUint32(20) };
  for (let at = 2; at < byteLength; at += 2 + view.getUint16(at + 2)) {
    const isFrame = [0xffc0, 0xffc2].includes(view.getUint16(at));
    if (isFrame) return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
  }
  throw new Error("That is neither a PNG nor a JPEG.");
}

describe("a picture", () => {
  test("shows the window, and is kept in files", async () => {
    await person.read("browser_open", { url: `${site.origin}/` });
    const picture = await take();
    expect(picture).toMatchObject({ mimeType: "image/png", width: 1280, height: 800 });
    expect(picture.text).toMatch(new RegExp(`^${site.origin}/: 1280×800 pixels, kept as artifacts/\\S+\\.png$`));
  });

  test("is a JPEG where one is asked for", async () => {
    await person.read("browser_open", { url: `${site.origin}/` });
    expect(await take({ format: "jpeg" })).toMatchObject({ mimeType: "image/jpeg", width: 1280, height: 800 });
  });

  test("of a page 30,000 pixels tall ends at 5,000 and says so", async () => {
    await person.read("browser_open", { url: `${site.origin}/tall` });
    const picture = await take({ full_page: true });
    expect(picture).toMatchObject({ mimeType: "image/png", width: 1280, height: 5_000 });
    expect(picture.text).toContain("\nNote: It is 30000 pixels tall; the picture shows the first 5000.");
  });

  test("that would be too large is coded more tightly and says so", async () => {
    await person.read("browser_open", { url: `${site.origin}/noise` });
    const picture = await take({ full_page: true });
    expect(picture).toMatchObject({ mimeType: "image/jpeg", width: 1280, height: 5_000 });
    expect(picture.bytes.length).toBeLessThanOrEqual(3_500_000);
    expect(picture.text).toContain("\nNote: It is a JPEG, since a PNG of it would have been too large.");
  });

  test("may be of one element, and no wider than the window", async () => {
    await person.read("browser_open", { url: `${site.origin}/wide` });
    const snapshot = await person.read("browser_snapshot");
    const { width, height, text } = await take({ ref: /\[(e\d+)\] button/.exec(snapshot)?.[1] ?? "" });
    expect([width, height]).toEqual([1280, 50]);
    expect(text).toContain("Note: It is 3000 pixels wide; the picture shows the first 1280.");
  });

  test("may be a PDF, which is kept and not shown", async () => {
    await person.read("browser_open", { url: `${site.origin}/` });
    const answer = await person.call("browser_screenshot", { format: "pdf" });
    if (!answer.ok) throw new Error(answer.message);
    expect(answer.attachments).toMatchObject([{ type: "link", mimeType: "application/pdf" }]);
    const [link] = answer.attachments;
    const pdf = new TextDecoder().decode(await person.readFile(link?.type === "link" ? link.path : ""));
    expect(pdf).toMatch(/^%PDF-[\s\S]*%%EOF\s*$/);
  });

  test("is not taken where no page is open", async () => {
    expect(await suite.person().call("browser_screenshot")).toMatchObject({ ok: false, code: "not_found" });
  });
});
