import type { Log } from "../servers/core/log.ts";
import { type Html, html } from "./html.ts";
import type { Identity, Person } from "./identity.ts";

export interface Problem {
  readonly status: number;
  readonly message: string;
  /** Shown beside the code's field, which then has the focus. */
  readonly isAboutCode: boolean;
}

interface ProofOptions {
  readonly identity: Identity;
  readonly log: Log;
  readonly now: () => Date;
}

/** Nothing where the form proves the person. */
export async function problemWithCode(
  form: URLSearchParams,
  person: Person,
  { identity, log, now }: ProofOptions,
): Promise<Problem | undefined> {
  const proof = await identity.prove(person, (form.get("code") ?? "").slice(0, 64));
  switch (proof.kind) {
    case "proven":
      return undefined;
    case "wrong-code":
      log.info("wrong sign-in code");
      return {
        status: 403,
        message: "That is not the sign-in code. Look at the terminal and try again.",
        isAboutCode: true,
      };
    case "locked": {
      const minutes = Math.max(1, Math.ceil((proof.retryAtMs - now().getTime()) / 60_000));
      log.info("sign-in locked");
      const message = `Too many wrong codes. Wait ${minutes} ${minutes === 1 ? "minute" : "minutes"}, then try again.`;
      return { status: 429, message, isAboutCode: true };
    }
  }
}

export function problemNote(problem: Problem): Html {
  return html`<p class="note error" role="alert" id="problem">${problem.message}</p>`;
}

/** The field for the code that the launcher printed. */
export function codeField(problem: Problem | undefined): Html {
  const wrong = problem?.isAboutCode === true ? problem : undefined;
  return html`<label class="label code-label" for="code">Sign-in code</label>
    <p class="hint" id="code-hint">The terminal where you ran npm start shows it.</p>
    ${wrong && problemNote(wrong)}
    <input
      class="code"
      id="code"
      name="code"
      type="text"
      required
      maxlength="64"
      autocapitalize="characters"
      spellcheck="false"
      autocomplete="one-time-code"
      aria-describedby="code-hint${wrong && " problem"}"
      ${wrong && INVALID}
    />`;
}

const INVALID = html`aria-invalid="true" autofocus`;
