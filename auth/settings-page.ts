import type { SettingsError } from "../servers/shared/settings.ts";
import { html, pageResponse } from "./html.ts";

/** What a suite answers whose settings are wrong: to a browser as a page, to anything else as JSON. */
export function settingsProblem(request: Request, { message, problems }: SettingsError): Response {
  if (request.headers.get("Accept")?.includes("text/html") !== true) {
    return Response.json({ error: message }, { status: 500, headers: { "Cache-Control": "no-store" } });
  }
  const title = "Pincer is not set up yet";
  const body = html`<h1>${title}</h1>
    <p>
      Whoever runs it has to set this, in <code>vars</code> of <code>wrangler.jsonc</code> or by
      <code>wrangler secret put</code>, and deploy again:
    </p>
    <ul>
      ${problems.map((problem) => html`<li>${problem}</li>`)}
    </ul>`;
  return pageResponse({ title, status: 500, body });
}
