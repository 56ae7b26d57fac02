import { readText } from "../servers/shared/read-text.ts";

const MAX_FORM_BYTES = 16_384;

/** The form, where it comes from one of our own pages. What it carries guards it too; this says so earlier. */
export async function readForm(request: Request, publicUrl: string): Promise<URLSearchParams | undefined> {
  const origin = request.headers.get("Origin");
  const site = request.headers.get("Sec-Fetch-Site");
  if (origin !== null && origin !== publicUrl) return undefined;
  if (site !== null && site !== "same-origin") return undefined;
  const type = request.headers.get("Content-Type")?.split(";")[0]?.trim().toLowerCase();
  if (type !== "application/x-www-form-urlencoded") return undefined;
  const body = await readText(request.body, MAX_FORM_BYTES);
  return body === undefined ? undefined : new URLSearchParams(body);
}
