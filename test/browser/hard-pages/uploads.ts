import { createHash } from "node:crypto";
import { arrayBuffer } from "node:stream/consumers";
import type { Pages } from "../pages.ts";

/** Says of every file that it is sent what it got. */
export function uploadPages(): Pages {
  return {
    "/uploads/take": async (request, response) => {
      const { "content-type": type = "" } = request.headers;
      const sent = new Response(await arrayBuffer(request), { headers: { "Content-Type": type } });
      const lines: string[] = [];
      for (const [field, value] of await sent.formData()) {
        if (typeof value === "string" || value.size === 0) continue;
        const bytes = new Uint8Array(await value.arrayBuffer());
        const hash = createHash("sha256").update(bytes).digest("hex");
        lines.push(`${field}: ${value.name}, ${bytes.length} bytes, ${value.type}, ${hash}`);
      }
      response.setHeader("Content-Type", "text/plain; charset=utf-8");
      response.end(lines.join("\n") || "no file came");
    },
  };
}
