import { env } from "cloudflare:workers";
import { createPreviewLabels } from "../../auth/preview-label.ts";
import { ToolError } from "../../servers/shared/errors.ts";
import { previewLabel, previewSite } from "../../servers/shared/preview-site.ts";
import { type Settings, parseSettings } from "../../servers/shared/settings.ts";
import { type PreviewHost, servePreview } from "../../servers/sandbox/preview-door.ts";
import { type Previews, createPreviews } from "../../servers/sandbox/previews.ts";
import type { PortAnswer, SandboxPort } from "../../servers/sandbox/driver.ts";
import { createPreviewHost, newPreviewMemory } from "../../servers/suite.ts";
import { accountOf } from "./open-files.ts";

/** One person with a sandbox whose port 3000 a test's own server has, and visitors of its preview. */
export interface PreviewSuite {
  readonly previews: Previews;
  readonly clock: { nowMs: number };
  /** Says whether people are still let in. */
  readonly access: { isLetIn: PreviewHost["isLetIn"] };
  /** What has come to the sandbox's port. */
  readonly received: Request[];
  readonly port: {
    answer: (request: Request) => Promise<PortAnswer>;
    closed: number;
    isRefused?: boolean;
    /** Of the sandbox; else it has run for long. */
    uptimeMs?: number;
  };
  /** The commands that were run, to wake it. */
  readonly commands: string[];
  /** The people whose accounts visits have come to. */
  readonly askedAccounts: string[];
  /** A request as a program makes it, or a browser where it is a visit. */
  open(url: string, init?: RequestInit): Promise<Response>;
  visit(url: string, cookie?: string): Promise<Response>;
  /** As after the seconds in which an isolate goes by what it knows. */
  forget(): void;
}

export const NAVIGATION = { Accept: "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" };

export function previewSuite(userId: string, settings: Partial<Settings> = {}): PreviewSuite {
  const parsed = { ...parseSettings(env), ...settings };
  const clock = { nowMs: Date.now() };
  const access: PreviewSuite["access"] = { isLetIn: async () => true };
  const received: Request[] = [];
  const commands: string[] = [];
  const askedAccounts: string[] = [];
  const port: PreviewSuite["port"] = {
    answer: async () => ({ state: "answered", response: new Response("from inside") }),
    closed: 0,
  };
  const its: SandboxPort = {
    look: async () => "listening",
    close: async () => void (port.closed += 1),
    fetch: async (request) => {
      received.push(request);
      return await port.answer(request);
    },
  };
  const nobody = async (): Promise<never> => await Promise.reject(new ToolError("unavailable", "Not in this suite."));
  const waitUntil = (work: Promise<unknown>): void => void work.catch(() => undefined);
  const now = (): Date => new Date(clock.nowMs);
  const newHost = (): PreviewHost => {
    const isLetIn: PreviewHost["isLetIn"] = async (...given) => await access.isLetIn(...given);
    const memory = newPreviewMemory(parsed);
    if (memory === undefined) throw new Error("The settings name no place for previews.");
    const built = createPreviewHost(env, parsed, { memory, waitUntil, isLetIn });
    return {
      ...built,
      now,
      answersWithinMs: 300,
      accountOf: (id) => {
        askedAccounts.push(id);
        return accountOf(id);
      },
      sandboxOf: () => ({
        port: () => its,
        exec: async ({ command }) => {
          commands.push(command);
          return await nobody();
        },
        status: async () =>
          await Promise.resolve({
            driver: "local",
            state: "running",
            uptimeMs: port.uptimeMs ?? 3_600_000,
            costUsd: 0,
          }),
      }),
    };
  };
  let host = newHost();
  const open: PreviewSuite["open"] = async (url, init = {}) => {
    const label = previewLabel(new URL(url).host, host.site);
    if (label === undefined) throw new Error(`${url} is no preview's.`);
    return await servePreview(new Request(url, { redirect: "manual", ...init }), label, host);
  };
  return {
    ...{ clock, access, received, port, commands, askedAccounts, open },
    previews: createPreviews({
      ...{ userId, now },
      account: accountOf(userId),
      site: previewSite(parsed),
      labels: createPreviewLabels(parsed.SIGNING_SECRET),
      sandbox: () => {
        if (port.isRefused === true) throw new ToolError("invalid_input", "This run has another sandbox.");
        return { port: () => its };
      },
    }),
    visit: async (url, cookie = "") => await open(url, { headers: { ...NAVIGATION, Cookie: cookie } }),
    forget: () => (host = newHost()),
  };
}

export function cookieOf(response: Response): string {
  return response.headers.getSetCookie()[0]?.split(";")[0] ?? "";
}
