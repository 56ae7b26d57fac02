import type { LivePage } from "../chrome/live-page.ts";
import type { Screenshot } from "../session.ts";

/** The whole page on sheets of A4, with its backgrounds. */
export async function takePdf({ session }: LivePage): Promise<Omit<Screenshot, "url">> {
  const { data } = await session.send("Page.printToPDF", {
    printBackground: true,
    preferCSSPageSize: true,
    paperWidth: 8.27,
    paperHeight: 11.69,
  });
  return { base64: data, mimeType: "application/pdf", notes: [] };
}
