import { randomUUID } from "node:crypto";
import { text } from "node:stream/consumers";
import { type Pages, redirectTo } from "../pages.ts";

/** A page behind a login: leads there and back, by redirects, a cookie and a hidden token in the form. */
export function accountPages(): Pages {
  const sessions = new Set<string>();
  const token = randomUUID();
  const sessionOf = (cookie = ""): string => /session=([\w-]+)/.exec(cookie)?.[1] ?? "";
  return {
    "/account": (request, response) => {
      if (!sessions.has(sessionOf(request.headers.cookie)))
        return redirectTo("/login?next=/account")(request, response);
      response.setHeader("Content-Type", "text/html");
      response.end(
        `<title>Account</title><h1>Welcome, ada</h1><form method="post" action="/logout"><button>Sign out</button></form>`,
      );
    },
    "/login": async (request, response) => {
      if (request.method === "POST") {
        const form = new URLSearchParams(await text(request));
        const isRight = form.get("password") === "correct horse" && form.get("token") === token;
        if (!isRight) return void response.writeHead(303, { Location: "/login?wrong" }).end();
        const session = randomUUID();
        sessions.add(session);
        const cookie = `session=${session}; HttpOnly; SameSite=Lax; Path=/`;
        return void response.writeHead(303, { Location: "/login/done", "Set-Cookie": cookie }).end();
      }
      response.setHeader("Content-Type", "text/html");
      response.end(`<title>Sign in</title>${request.url?.endsWith("?wrong") === true ? "<p role=alert>Wrong password</p>" : ""}
        <form method="post" action="/login"><input type="hidden" name="token" value="${token}">
        <label>User <input name="user" autocomplete="username"></label>
        <label>Password <input name="password" type="password"></label><button>Sign in</button></form>`);
    },
    "/login/done": redirectTo("/account"),
    "/logout": (request, response) => {
      sessions.delete(sessionOf(request.headers.cookie));
      response.writeHead(303, { Location: "/login" }).end();
    },
  };
}
