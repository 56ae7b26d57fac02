import type { ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import type { Pages } from "../pages.ts";

/** What comes in three parts, 100 ms apart. */
export const ARCHIVE = new Uint8Array(300_000).map((_, index) => (index * 7919) % 251);

/** Too much for what Chrome reads ahead. */
export const MOVIE = new Uint8Array(3_000_000).map((_, index) => (index * 104_729) % 253);

/** Files that arrive in every way that a server knows. */
export function downloadPages(): Pages {
  return {
    "/downloads/attachment": (_request, response) => attach(response, "report.csv", "a,b\n1,2\n", "text/csv"),
    "/downloads/plain": (_request, response) => response.end("some notes\n"),
    "/downloads/chunked": (_request, response) => {
      response.writeHead(200, {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": "attachment; filename=archive.bin",
      });
      [0, 1, 2].forEach((part) => {
        const bytes = ARCHIVE.subarray(part * 100_000, (part + 1) * 100_000);
        setTimeout(() => (part === 2 ? response.end(bytes) : response.write(bytes)), part * 100);
      });
    },
    "/downloads/movie": (_request, response) =>
      response
        .writeHead(200, {
          "Content-Type": "application/octet-stream",
          "Content-Disposition": 'attachment; filename="movie.bin"',
          "Content-Length": MOVIE.length,
        })
        .end(MOVIE),
    "/downloads/huge": (_request, response) => {
      response.writeHead(200, {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": "attachment; filename=huge.bin",
      });
      for (let megabyte = 0; megabyte < 52; megabyte += 1) response.write(new Uint8Array(1024 * 1024));
      response.end();
    },
    "/downloads/endless": (_request, response) => {
      response.writeHead(200, { "Content-Type": "application/zip" }).write("it begins");
    },
    "/downloads/broken": (_request, response) => {
      response.writeHead(200, { "Content-Type": "application/zip", "Content-Length": 1_000 }).write("it begins");
      setTimeout(() => response.destroy(), 300);
    },
    "/downloads/too-large": (_request, response) => {
      response.writeHead(200, { "Content-Type": "application/zip", "Content-Length": 60_000_000 }).write("it begins");
    },
    "/downloads/posted": async (request, response) => {
      const form = new URLSearchParams(await text(request));
      attach(response, "invoice.txt", `your ${form.get("what")}\n`, "text/plain");
    },
    "/downloads/evil": (_request, response) =>
      attach(response, "../../etc/pa\u202Esswd", "not where you think\n", "text/plain"),
  };
}

function attach(response: ServerResponse, name: string, content: string, type: string): void {
  const disposition = `attachment; filename*=UTF-8''${encodeURIComponent(name)}`;
  response.writeHead(200, { "Content-Type": type, "Content-Disposition": disposition }).end(content);
}
