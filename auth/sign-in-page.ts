import type { SignInTarget } from "./account-session.ts";
import { html, pageResponse } from "./html.ts";
import type { Person } from "./identity.ts";
import { type Problem, codeField } from "./sign-in-code.ts";

interface SignInView {
  /** Where the person wants to go. */
  readonly page: SignInTarget;
  /** Absent where the upstream provider is to say who it is. */
  readonly person?: Person;
  readonly asksForCode: boolean;
  readonly problem?: Problem;
}

/** The page in front of a person's own pages: nobody is signed in without a press of the button. */
export function signInPage({ page, person, asksForCode, problem }: SignInView): Response {
  const title = `${problem === undefined ? "" : "Not yet: "}Sign in to Pincer`;
  const who =
    person === undefined
      ? html`Cloudflare Access is asked who you are.`
      : html`You sign in as <strong>${person.displayName}</strong>, for a quarter of an hour.`;
  const body = html`<h1>Sign in to Pincer</h1>
    <p>
      ${page.startsWith("/account/preview") ? "Then the preview opens." : "Here you see which apps and tokens act for you, and revoke them."}
    </p>
    <p class="soft">${who}</p>
    <form method="post" action="/account/sign-in" autocomplete="off">
      <input type="hidden" name="page" value="${page}" />
      ${asksForCode ? codeField(problem) : undefined}
      <div class="actions"><button class="primary">Sign in</button></div>
    </form>`;
  return pageResponse({ title, body, status: problem?.status ?? 200 });
}
