import * as z from "zod";
import { ToolError } from "../../shared/errors.ts";
import type { PageElement } from "./element.ts";
import { type RemoteFiles, valueOf } from "../session.ts";

/** All that one field is given; it goes to Chrome in one message, as base64, which ends at 32 MiB. */
const MAX_BYTES = 20 * 1024 * 1024;

/** Chrome runs elsewhere and has no files of ours: they are made in the page, from their bytes. */
const PUT = `function (files) {
  if (files.length > 1 && !this.multiple) return false;
  const transfer = new DataTransfer();
  for (const { name, type, base64 } of files)
    transfer.items.add(new File([Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))], name, { type }));
  this.files = transfer.files;
  this.dispatchEvent(new Event("input", { bubbles: true, composed: true }));
  this.dispatchEvent(new Event("change", { bubbles: true }));
  return true;
}`;

/** Puts files into a file field; an empty list takes out what is there. */
export async function putFiles(element: PageElement, paths: readonly string[], files: RemoteFiles): Promise<void> {
  const given: { name: string; type: string; base64: string }[] = [];
  let leftBytes = MAX_BYTES;
  for (const path of paths) {
    const { name, mimeType, content } = valueOf(await files.read(path, leftBytes));
    leftBytes -= content.byteLength;
    given.push({ name, type: mimeType, base64: content.toBase64() });
  }
  if (await element.call(PUT, [given], z.boolean())) return;
  throw new ToolError("invalid_input", `${element.ref} takes one file; give one path.`);
}
