import { spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { Problem } from "./presets.mjs";

/** How compressed files begin. */
const GZIP = "1f8b";
const ZSTD = "28b52ffd";

/** Unpacks a tar, compressed by gzip, by zstd, or not. tar itself lets nothing out of the folder. @param {string} file @param {string} folder */
export async function unpack(file, folder) {
  const tar = spawn("tar", ["--extract", "--file=-", "--no-same-owner", "--no-same-permissions"], {
    cwd: folder,
    stdio: ["pipe", "ignore", "pipe"],
  });
  let said = "";
  tar.stderr.on("data", (bytes) => (said += bytes));
  const ended = new Promise((resolve, reject) => {
    tar.once("error", reject);
    tar.once("close", resolve);
  });
  const fed = pipeline([createReadStream(file), ...(await decompressors(file)), tar.stdin]);
  const [feeding, ending] = await Promise.allSettled([fed, ended]);
  if (ending.status === "fulfilled" && ending.value === 0 && feeding.status === "fulfilled") return;
  throw new Problem(`${file} is no tar that can be unpacked, or is damaged. ${said.split("\n")[0] ?? ""}`.trim());
}

/** @param {string} file */
async function decompressors(file) {
  await using handle = await open(file);
  const { buffer } = await handle.read(Buffer.alloc(4), 0, 4, 0);
  const magic = buffer.toString("hex");
  if (magic.startsWith(GZIP)) return [createGunzip()];
  return magic === ZSTD ? [createZstdDecompress()] : [];
}
