import { ToolError } from "../../shared/errors.ts";
import { readAll } from "../chrome/cdp-stream.ts";
import type { LivePage } from "../chrome/live-page.ts";
import type { Screenshot } from "../session.ts";

/** What is handed on in one piece. */
const MAX_BYTES = 20 * 1024 * 1024;

/** The whole page on sheets of A4, with its backgrounds. Rejects with `too_large` above 20 MB. */
export async function takePdf({ session }: LivePage): Promise<Omit<Screenshot, "url">> {
  const { stream: handle } = await session.send("Page.printToPDF", {
    printBackground: true,
    preferCSSPageSize: true,
    paperWidth: 8.27,
    paperHeight: 11.69,
    transferMode: "ReturnAsStream",
  });
  if (handle === undefined) throw new Error("Chrome printed no stream.");
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let sizeBytes = 0;
  for await (const chunk of readAll({ session, handle })) {
    chunks.push(chunk);
    sizeBytes += chunk.byteLength;
    if (sizeBytes > MAX_BYTES) {
      throw new ToolError("too_large", "The PDF would be larger than 20 MB; take a browser_screenshot instead.");
    }
  }
  const pdf = new Uint8Array(await new Blob(chunks).arrayBuffer());
  return { base64: pdf.toBase64(), mimeType: "application/pdf", notes: [] };
}
