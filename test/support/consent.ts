import * as z from "zod";

/** What a person does on the consent page. */
export interface Approval {
  /** The code that `npm start` printed. */
  readonly code: string;
  /** All that the page has ticked where absent. */
  readonly scopes?: readonly string[];
}

const formSchema = z.object({
  handle: z.string().min(1),
  ticked: z.array(z.string()).min(1),
  cookie: z.string().min(1),
});

/** Opens the consent page as a browser would, presses Allow, and returns where the browser is sent then. */
export async function allow(authorizationUrl: URL, { code, scopes }: Approval): Promise<URL> {
  const page = await fetch(authorizationUrl, { redirect: "manual" });
  const markup = await page.text();
  const form = formSchema.parse({
    handle: /name="handle" value="([^"]+)"/.exec(markup)?.[1],
    ticked: [...markup.matchAll(/name="scope" value="([^"]+)"\s+checked/g)].map(([, scope]) => scope),
    cookie: page.headers
      .getSetCookie()
      .map((cookie) => cookie.split(";")[0])
      .join("; "),
  });
  const answer = await fetch(new URL("/authorize", authorizationUrl), {
    method: "POST",
    redirect: "manual",
    headers: { Cookie: form.cookie, Origin: authorizationUrl.origin, "Sec-Fetch-Site": "same-origin" },
    body: new URLSearchParams([
      ["handle", form.handle],
      ["code", code],
      ["decision", "allow"],
      ...(scopes ?? form.ticked).map((scope): [string, string] => ["scope", scope]),
    ]),
  });
  const location = answer.headers.get("Location");
  if (answer.status !== 302 || location === null) throw new Error(`Allow was answered with ${answer.status}.`);
  return new URL(location);
}
