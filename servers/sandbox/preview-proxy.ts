import type { PreviewSite } from "../shared/preview-site.ts";
import type { Sandbox } from "./driver.ts";
import { headersForIt, headersFromIt } from "./preview-headers.ts";
import { MAX_HEAD_BYTES } from "./port-answer.ts";
import {
  BUSY,
  TOO_LONG,
  UNFIT,
  WAKING,
  notice,
  nothingListens,
  speaksGarbage,
  startingUp,
  staysSilent,
} from "./preview-pages.ts";

/** A visitor who was let in. */
export interface PreviewVisit {
  readonly request: Request;
  readonly label: string;
  readonly site: PreviewSite;
  readonly port: number;
  /** The `userId` of the preview's person, where it is they who visit. */
  readonly person: string | undefined;
  readonly sandbox: Pick<Sandbox, "port" | "exec" | "status">;
  /** How long what listens may take to begin its answer, once it has all of the request. */
  readonly answersWithinMs: number;
  /** When the visitor is asked again, or is out. */
  readonly untilMs: number;
  /** Whether they may still look on, by what is known now; `isAnew` asks. */
  readonly isStillIn: (isAnew: boolean) => Promise<boolean>;
  readonly waitUntil: (work: Promise<unknown>) => void;
}

/** How often it is looked whether the visitor of an answer that goes on and on is still let in. */
const LOOK_AGAIN_MS = 1_000;
/** What is over before that is looked at. */
const SHORT_BYTES = 256 * 1024;
const WAKES_WITHIN_MS = 50_000;
/** How long what starts as its sandbox wakes is waited for: hundreds of megabytes may have to be installed. */
const STARTS_WITHIN_MS = 5 * 60_000;

/** Passes a visitor's request on to what listens in the sandbox, and its answer back. */
export async function proxyPreview(visit: PreviewVisit): Promise<Response> {
  const { request, label, site, port, person, sandbox, untilMs, answersWithinMs } = visit;
  if (!isFit(request)) return notice(request, UNFIT);
  if (headBytes(request) > MAX_HEAD_BYTES) return notice(request, TOO_LONG);
  const givenUp = new AbortController();
  const upload = uploadOf(request);
  const { pathname, search } = new URL(request.url);
  const passedOn = new Request(`http://localhost:${port}${pathname}${search}`, {
    method: request.method,
    headers: headersForIt(request.headers, label, site, person),
    ...(upload === undefined ? {} : { body: upload.body }),
    redirect: "manual",
    signal: AbortSignal.any([request.signal, givenUp.signal]),
  });
  const silence = silent(answersWithinMs, upload?.sent ?? Promise.resolve());
  const answering = sandbox.port(port).fetch(passedOn, untilMs);
  // Where it is given up, nobody waits for it.
  answering.catch(() => undefined);
  const answer = await Promise.race([answering, silence.promise]).finally(() => silence.end());
  switch (answer.state) {
    case "answered":
      return await handBack(answer.response, visit, givenUp);
    case "asleep":
      visit.waitUntil(wake(sandbox));
      return notice(request, WAKING);
    case "closed":
      return notice(request, (await hasJustWoken(sandbox)) ? startingUp(port) : nothingListens(port));
    case "garbled":
      return notice(request, speaksGarbage(port));
    case "busy":
      return notice(request, BUSY);
    case "silent":
      givenUp.abort();
      return notice(request, staysSilent(port, answersWithinMs / 1_000));
  }
}

/** Whether it is one that `fetch` sends: HTTP allows more. */
function isFit({ method, body, headers, url }: Request): boolean {
  const length = Number(headers.get("Content-Length") ?? 0);
  return Number.isSafeInteger(length) && (body === null || !["GET", "HEAD"].includes(method)) && URL.canParse(url);
}

function headBytes({ url, headers }: Request): number {
  return [...headers].reduce((sum, [name, value]) => sum + name.length + value.length, url.length);
}

/** Its workspace is restored before anything runs in it. */
async function wake(sandbox: Pick<Sandbox, "exec">): Promise<void> {
  const nothing = { command: "true", isInternal: true, timeoutMs: 10_000, waitMs: WAKES_WITHIN_MS, maxChars: 100 };
  // Whoever comes next tries it again.
  await sandbox.exec(nothing, { signal: AbortSignal.timeout(WAKES_WITHIN_MS) }).catch(() => undefined);
}

async function hasJustWoken(sandbox: Pick<Sandbox, "status">): Promise<boolean> {
  const status = await sandbox.status().catch(() => undefined);
  return (status?.uptimeMs ?? Infinity) < STARTS_WITHIN_MS;
}

/** The body, and when all of it has been taken: to be silent until then is no fault. */
function uploadOf({
  body,
  headers,
}: Request): { readonly body: ReadableStream; readonly sent: Promise<void> } | undefined {
  if (body === null) return undefined;
  const length = headers.get("Content-Length");
  const { readable, writable } =
    length === null ? new IdentityTransformStream() : new FixedLengthStream(Number(length));
  return { body: readable, sent: body.pipeTo(writable) };
}

function silent(
  withinMs: number,
  sent: Promise<void>,
): { readonly promise: Promise<{ readonly state: "silent" }>; end(): void } {
  const { promise, resolve } = Promise.withResolvers<{ readonly state: "silent" }>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isOver = false;
  const begin = (): void => {
    if (!isOver) timer = setTimeout(() => resolve({ state: "silent" }), withinMs);
  };
  sent.then(begin, begin);
  return {
    promise,
    end: () => {
      isOver = true;
      clearTimeout(timer);
    },
  };
}

async function handBack(answer: Response, visit: PreviewVisit, givenUp: AbortController): Promise<Response> {
  const { status, statusText, webSocket } = answer;
  // Status codes end at 599 (RFC 9110 §15).
  if (status > 599 || (status < 200 && webSocket === null)) {
    givenUp.abort();
    return notice(visit.request, speaksGarbage(visit.port));
  }
  const headers = headersFromIt(answer.headers, visit.port);
  if (webSocket === null) {
    const body = isShort(answer) ? answer.body : watched(answer.body, visit, givenUp);
    return new Response(body, { status, statusText, headers, encodeBody: "manual" });
  }
  // Whoever withdraws closes what is open by then, and this is open now: so nothing falls between.
  if (await visit.isStillIn(true)) return new Response(null, { status: 101, webSocket, headers });
  webSocket.accept();
  webSocket.close(1008, "The preview was withdrawn.");
  return new Response(null, { status: 404 });
}

function isShort({ headers }: Response): boolean {
  return Number(headers.get("Content-Length") ?? Number.NaN) <= SHORT_BYTES;
}

/** A body that breaks off when its visitor is let in no longer. */
function watched(body: ReadableStream | null, { isStillIn, waitUntil }: PreviewVisit, givenUp: AbortController) {
  if (body === null) return null;
  const { readable, writable } = new IdentityTransformStream();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const lookAgain = (): void => {
    timer = setTimeout(() => {
      void isStillIn(false)
        .catch(() => false)
        .then((isIn) => {
          if (isIn) lookAgain();
          else givenUp.abort();
        });
    }, LOOK_AGAIN_MS);
  };
  lookAgain();
  waitUntil(
    body
      .pipeTo(writable, { signal: givenUp.signal })
      .catch(() => undefined)
      .finally(() => clearTimeout(timer)),
  );
  return readable;
}
