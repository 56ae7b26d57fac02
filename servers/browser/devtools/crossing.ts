import * as z from "zod";
import { type ErrorCode, ToolError } from "../../shared/errors.ts";
import { DEFAULT_HANDLE } from "../../shared/handles.ts";

/** How requests and refusals cross to the Durable Object, whose `fetch` takes no other arguments. */

const LIMITS = "Pincer-Limits";
const REFUSAL = "Pincer-Refusal";

const limitsSchema = z.object({
  browserHoursPerDay: z.number().exactOptional(),
  usdPerDay: z.number().exactOptional(),
});

/** What a person's role allows of a day. */
export type DayLimits = Readonly<z.output<typeof limitsSchema>>;

const CODES = {
  invalid_input: 400,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  too_large: 413,
  limit_reached: 429,
  cancelled: 499,
  internal: 500,
  unavailable: 503,
  timeout: 504,
} as const satisfies Record<ErrorCode, number>;

const refusalSchema = z.object({
  code: z.enum([
    "invalid_input",
    "forbidden",
    "not_found",
    "conflict",
    "too_large",
    "limit_reached",
    "cancelled",
    "internal",
    "unavailable",
    "timeout",
  ]),
  message: z.string(),
});

/** Which of the person's browsers is asked for: `?browser=NAME`, or the one that a socket's path names. */
export function browserIn({ pathname, searchParams }: URL): string {
  const [, inPath] = /^\/devtools\/browser\/([^/]+)/.exec(pathname) ?? [];
  return searchParams.get("browser") ?? inPath ?? DEFAULT_HANDLE;
}

export function withLimits(request: Request, limits: DayLimits): Request {
  const crossing = new Request(request);
  crossing.headers.set(LIMITS, JSON.stringify(limits));
  return crossing;
}

export function limitsOf(request: Request): DayLimits {
  return limitsSchema.parse(JSON.parse(request.headers.get(LIMITS) ?? ""));
}

/** As one who asks over HTTP is told. */
export function statusOf(code: ErrorCode): number {
  return CODES[code];
}

export function refusal({ code, message }: ToolError): Response {
  return Response.json({ code, message }, { status: statusOf(code), headers: { [REFUSAL]: "1" } });
}

/** The answer that crossed. Throws the refusal. */
export async function unrefused(response: Response): Promise<Response> {
  if (!response.headers.has(REFUSAL)) return response;
  const { code, message } = refusalSchema.parse(await response.json());
  throw new ToolError(code, message);
}
