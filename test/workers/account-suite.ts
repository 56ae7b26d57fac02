import { CODE, ORIGIN, type Suite } from "./auth-suite.ts";

/** A browser at the account's pages: it keeps the session's cookie and sends the headers that browsers send. */
export class Visit {
  readonly #suite: Suite;
  readonly #headers: Readonly<Record<string, string>>;
  cookie = "";

  constructor(suite: Suite, headers: Readonly<Record<string, string>> = {}) {
    this.#suite = suite;
    this.#headers = headers;
  }

  async get(path: string, cookie = this.cookie): Promise<Response> {
    return this.#keep(await this.#suite.fetch(path, { headers: { ...this.#headers, Cookie: cookie } }));
  }

  async post(
    path: string,
    form: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Response> {
    // Each box that is ticked sends a field of its own.
    const { scope = "", ...rest } = form;
    const body = new URLSearchParams(rest);
    for (const ticked of scope.split(" ")) body.append("scope", ticked);
    const response = await this.#suite.fetch(path, {
      method: "POST",
      headers: {
        Origin: ORIGIN,
        "Sec-Fetch-Site": "same-origin",
        "Content-Type": "application/x-www-form-urlencoded",
        Cookie: this.cookie,
        ...this.#headers,
        ...headers,
      },
      body,
    });
    return this.#keep(response);
  }

  /** Presses the button of the sign-in page. */
  async signIn(page = "/account", code = CODE): Promise<Response> {
    return await this.post("/account/sign-in", { page, code });
  }

  /** What a page of this session says, with the key of its forms. */
  async read(path = "/account/apps"): Promise<{ status: number; text: string; key: string; ids: string[] }> {
    const response = await this.get(path);
    const text = await response.text();
    return {
      status: response.status,
      text,
      key: /name="key" value="([^"]+)"/.exec(text)?.[1] ?? "",
      ids: [...text.matchAll(/name="id" value="([^"]+)"/g)].map(([, id = ""]) => id),
    };
  }

  /** Makes a token on the page and returns it. */
  async makeToken(order: { readonly scopes: readonly string[]; readonly days?: string }): Promise<string> {
    const { key } = await this.read();
    const form = { key, name: "ci", days: order.days ?? "1", scope: order.scopes.join(" ") };
    const response = await this.post("/account/tokens", form);
    return /pincer_\w+/.exec(await response.text())?.[0] ?? "";
  }

  #keep(response: Response): Response {
    for (const line of response.headers.getSetCookie()) {
      if (line.startsWith("__Host-pincer-account=")) this.cookie = line.split(";")[0] ?? "";
    }
    return response;
  }
}

/** Goes to the provider from the sign-in page and comes back. */
export async function comeBack(visit: Visit, page = "/account"): Promise<Response> {
  const away = await visit.signIn(page);
  const state = new URL(away.headers.get("Location") ?? "").searchParams.get("state") ?? "";
  const cookie = away.headers.getSetCookie().map((line) => line.split(";")[0] ?? "");
  return await visit.get(`/authorize/callback?code=upstream-code&state=${state}`, cookie.join("; "));
}
