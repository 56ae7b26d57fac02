import type { ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { type Pages, redirectTo, script, silence } from "../pages.ts";
import { pdfOf } from "./pdf.ts";

const CITIES = ["Bergen", "Berlin", "Bern", "Lyon"];
const POSTS = 60;
const POSTS_AT_ONCE = 10;
const ANSWER_DELAY_MS = 400;
const HEAVY_CHARS = 1_000_000;

/** What the scripts of the pages ask for, and pages that are nothing but an answer. */
export function answerPages(tell: (name: string, news: unknown) => void): Pages {
  return {
    "/combobox/cities": ({ url = "" }, response) => {
      const like = new URLSearchParams(url.split("?")[1]).get("like")?.toLowerCase() ?? "";
      response.end(JSON.stringify(like === "" ? [] : CITIES.filter((city) => city.toLowerCase().startsWith(like))));
    },
    "/feed/posts": ({ url = "" }, response) => {
      const after = Number(new URLSearchParams(url.split("?")[1]).get("after"));
      const titles = Array.from({ length: POSTS_AT_ONCE }, (_, index) => `Post ${after + index + 1}`);
      setTimeout(() => response.end(JSON.stringify({ titles, isLast: after + POSTS_AT_ONCE >= POSTS })), 150);
    },
    "/patience/answer": (_request, response) => setTimeout(() => response.end("Hello from afar"), ANSWER_DELAY_MS),
    "/patience/never": silence,
    "/restless/ping": (_request, response) => response.end("pong"),
    "/restless/events": (_request, response) =>
      response.writeHead(200, { "Content-Type": "text/event-stream" }).write("data: hello\n\n"),
    "/words/echo": async (request, response) => {
      const form = new URLSearchParams(await text(request));
      tell("words", Object.fromEntries(form));
      response.end("thank you");
    },
    "/document.pdf": (_request, response) =>
      response.writeHead(200, { "Content-Type": "application/pdf" }).end(pdfOf("Pincer report, page one")),
    "/loop": redirectTo("/loop/again"),
    "/loop/again": redirectTo("/loop"),
    "/loop/script": `<title>Round</title><p>round</p><script>location.replace("/loop/script?" + Math.random())</script>`,
    "/strict": (_request, response) => {
      response.setHeader("Content-Type", "text/html");
      response.setHeader(
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'",
      );
      response.end(
        `<title>Strict</title><button id="ask">Ask</button><p id="said">Not asked</p><script src="/strict.js"></script>`,
      );
    },
    "/strict.js": script(`ask.onclick = () => setTimeout(() => { said.textContent = "Asked in all strictness" }, 300)`),
    ...echoPages(),
    "/heavy": `<title>Heavy</title><button onclick="said.textContent = 'Pressed ' + weight.length">Weigh</button>
      <p id="said">Not weighed</p><script>const weight = "${"x".repeat(HEAVY_CHARS)}"</script>`,
  };
}

/** What is said is heard by all that listen, 400 ms later. */
function echoPages(): Pages {
  const listeners = new Set<ServerResponse>();
  return {
    "/echoes/events": (_request, response) => {
      listeners.add(response);
      response.writeHead(200, { "Content-Type": "text/event-stream" }).flushHeaders();
    },
    "/echoes/say": (_request, response) => {
      response.writeHead(204).end();
      setTimeout(() => {
        for (const listener of listeners) listener.write("data: Said\n\n");
      }, ANSWER_DELAY_MS);
    },
  };
}
