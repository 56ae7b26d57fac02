/** A browser as far as sign-in needs one: it keeps cookies by host and port, and goes where it is sent. */
export class CookieBrowser {
  readonly #jar = new Map<string, Map<string, string>>();

  /** One request; a redirect is not followed. */
  async send(url: URL, init: RequestInit = {}): Promise<Response> {
    const cookies = this.#jar.get(url.host) ?? new Map<string, string>();
    this.#jar.set(url.host, cookies);
    const headers = new Headers(init.headers);
    if (cookies.size > 0) headers.set("Cookie", [...cookies].map(([name, value]) => `${name}=${value}`).join("; "));
    const response = await fetch(url, { ...init, headers, redirect: "manual" });
    for (const cookie of response.headers.getSetCookie()) {
      const [pair = "", ...attributes] = cookie.split(";");
      const [name = "", value = ""] = pair.split(/=(.*)/s);
      const isOver = attributes.some((attribute) => /^\s*(max-age=0|expires=thu, 01 jan 1970)/i.test(attribute));
      if (isOver || value === "") cookies.delete(name);
      else cookies.set(name, value);
    }
    return response;
  }

  /** Follows redirects until a page comes, or until one leads to an address that begins with `end`. */
  async follow(response: Response, at: URL, end: string): Promise<Arrival> {
    let url = at;
    let answer = response;
    for (let hops = 0; hops < 20; hops += 1) {
      const location = answer.headers.get("Location");
      if (location === null) return { url, status: answer.status, text: await answer.text() };
      url = new URL(location, url);
      if (url.href.startsWith(end)) return { url, status: answer.status, text: "" };
      answer = await this.send(url);
    }
    throw new Error(`Redirects do not end; the last one led to ${url.href}.`);
  }
}

/** Where a browser has ended up, and what it shows. */
export interface Arrival {
  readonly url: URL;
  readonly status: number;
  readonly text: string;
}
