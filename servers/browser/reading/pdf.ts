import { ToolError } from "../../shared/errors.ts";
import type { LivePage } from "../chrome/live-page.ts";
import type { Screenshot } from "../session.ts";

/** What is handed on in one piece. */
const MAX_BYTES = 20 * 1024 * 1024;
/** Of a message from Chrome, before it is made base64; divisible by three, so that the pieces join. */
const CHUNK_BYTES = 3 * 256 * 1024;

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
  try {
    let base64 = "";
    for (;;) {
      const { data, base64Encoded, eof } = await session.send("IO.read", { handle, size: CHUNK_BYTES });
      base64 += base64Encoded === true ? data : btoa(data);
      if (base64.length > (MAX_BYTES * 4) / 3) {
        throw new ToolError("too_large", "The PDF would be larger than 20 MB; take a browser_screenshot instead.");
      }
      if (eof) return { base64, mimeType: "application/pdf", notes: [] };
    }
  } finally {
    session.send("IO.close", { handle }).catch(() => undefined);
  }
}
