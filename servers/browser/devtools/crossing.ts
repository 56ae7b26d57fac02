import * as z from "zod";
import { ERROR_CODES, HTTP_STATUS, ToolError } from "../../shared/errors.ts";
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

const refusalSchema = z.object({ code: z.enum(ERROR_CODES), message: z.string() });

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

export function refusal({ code, message }: ToolError): Response {
  return Response.json({ code, message }, { status: HTTP_STATUS[code], headers: { [REFUSAL]: "1" } });
}

/** The answer that crossed. Throws the refusal. */
export async function unrefused(response: Response): Promise<Response> {
  if (!response.headers.has(REFUSAL)) return response;
  const { code, message } = refusalSchema.parse(await response.json());
  throw new ToolError(code, message);
}
