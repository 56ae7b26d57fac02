/** Where sign-in carries what nobody else may know: in forms, queries and JSON by these names. */
const SECRET_FIELDS = [
  "access_token",
  "refresh_token",
  "id_token",
  "token",
  "code",
  "code_verifier",
  "client_secret",
  "client_assertion",
  "handle",
  "nonce",
] as const;

const SECRET_HEADERS = ["Authorization", "Cf-Access-Jwt-Assertion"] as const;

/** What is shorter is a word that a log may well hold. */
const SHORTEST = 8;

/** Collects the secrets of requests and answers, so that what is logged can be searched for them. */
export class SecretWatch {
  readonly secrets = new Set<string>();

  /** Takes what is sent along, and the form where it sends one; leaves the body of the request as it is. */
  seeRequest(request: Request, form?: URLSearchParams): void {
    for (const name of SECRET_HEADERS) this.add(request.headers.get(name)?.replace(/^(Bearer|Basic)\s+/i, ""));
    for (const pair of (request.headers.get("Cookie") ?? "").split("; ")) this.add(valueOf(pair));
    this.#addFields(new URL(request.url).searchParams);
    if (form !== undefined) this.#addFields(form);
  }

  /** The same for what it hands out: cookies, codes, tokens, the form's handle. */
  async seeAnswer(answer: Response): Promise<void> {
    for (const cookie of answer.headers.getSetCookie()) this.add(valueOf(cookie.split(";")[0] ?? ""));
    const location = answer.headers.get("Location");
    if (location !== null && URL.canParse(location)) this.#addFields(new URL(location).searchParams);
    if (answer.status === 101) return;
    const text = await answer.clone().text();
    this.add(/name="handle" value="([^"]+)"/.exec(text)?.[1]);
    for (const name of SECRET_FIELDS) {
      for (const [, value] of text.matchAll(new RegExp(`"${name}":\\s*"([^"]+)"`, "g"))) this.add(value);
    }
  }

  add(secret: string | undefined): void {
    if (secret !== undefined && secret.length >= SHORTEST) this.secrets.add(secret);
  }

  /** Throws where that holds one of them; how it is found is not repeated. */
  check(logged: string): void {
    for (const secret of this.secrets) {
      if (!logged.includes(secret)) continue;
      throw new Error(`A secret was logged: ${logged.replaceAll(secret, "[the secret]").slice(0, 1_000)}`);
    }
  }

  #addFields(fields: URLSearchParams): void {
    for (const name of SECRET_FIELDS) for (const value of fields.getAll(name)) this.add(value);
  }
}

function valueOf(cookie: string): string {
  return cookie.slice(cookie.indexOf("=") + 1);
}
