import * as z from "zod";
import { type Check, type HealthReport, healthReport } from "../../../servers/admin/health-report.ts";
import { readText } from "../../../servers/shared/read-text.ts";
import { type SuiteFile, requestToken } from "../running-suite.ts";

const TIMEOUT_MS = 20_000;
const MAX_ANSWER_BYTES = 1024 * 1024;
const TOKEN_SECONDS = 60;

const refusalSchema = z.object({ error: z.string().max(10_000) });

export interface ExaminedSuite extends HealthReport {
  readonly url: string;
}

/** The checks of the suite on this machine, which makes a token for them that lives a minute. */
export async function examineRunning(suite: SuiteFile): Promise<ExaminedSuite> {
  try {
    const order = { scopes: ["admin"], expiresInSeconds: TOKEN_SECONDS, name: "npm run doctor" };
    return await examineSuite(suite.url, await requestToken(suite, order));
  } catch (failure) {
    const says = failure instanceof Error ? failure.message : String(failure);
    return unwell(suite.url, "Suite", says, "End npm start and start it anew; suite.log in the data folder says more.");
  }
}

/** What a suite finds of itself, or why it does not say. */
export async function examineSuite(url: string, token: string): Promise<ExaminedSuite> {
  let response: Response;
  let text: string | undefined;
  try {
    response = await fetch(new URL("/health", url), {
      headers: { Authorization: `Bearer ${token}`, Accept: "application/json" },
      // No other host is to see the token.
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    text = await readText(response.body, MAX_ANSWER_BYTES);
  } catch {
    return unwell(
      url,
      "Suite",
      "Nothing answers there.",
      "Check the address and the network, and that it is deployed.",
    );
  }
  const json = parseJson(text);
  const report = response.ok ? healthReport.safeParse(json).data : undefined;
  if (report !== undefined) return { url, ...report };
  return explain(url, response.status, refusalSchema.safeParse(json).data?.error);
}

function explain(url: string, status: number, said: string | undefined): ExaminedSuite {
  const newToken = `Sign in at ${url}/account as an admin, make a personal token that may administer, and put it into PINCER_TOKEN.`;
  if (status >= 300 && status < 400) {
    return unwell(
      url,
      "Suite",
      "Something in front of it answers in its place, and wants a sign-in.",
      "Let the Access application cover /authorize, /account and /admin and nothing else.",
    );
  }
  if (said === undefined) {
    const says = status === 200 ? "It is a Pincer that cannot tell yet, or something else." : `It answers ${status}.`;
    return unwell(url, "Suite", says, "Check that Pincer is at that address, and deploy this version of it.");
  }
  if (status === 401 || status === 403) return unwell(url, "Token", said, newToken);
  if (status === 421) return unwell(url, "Public address", said, "Set PUBLIC_URL to the origin that clients use.");
  if (status === 500 && said.startsWith("Settings are wrong")) {
    const todo = "Set that in vars of wrangler.jsonc or by npx wrangler secret put, and deploy again.";
    return unwell(url, "Settings", said, todo);
  }
  return unwell(url, "Suite", said, "Try again in a minute; the Worker's log says more (npx wrangler tail).");
}

function unwell(url: string, name: string, says: string, todo: string): ExaminedSuite {
  const check: Check = { name, state: "broken", says, todo, took_ms: 0 };
  return { url, checks: [check], versions: [], errors: [] };
}

function parseJson(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
