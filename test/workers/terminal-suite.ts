import { env } from "cloudflare:workers";
import * as z from "zod";
import { withinRole } from "../../auth/policy.ts";
import { ALL_SCOPES } from "../../auth/scopes.ts";
import type { Desk } from "../../servers/admin/desk.ts";
import { newGateMemory } from "../../servers/core/gate.ts";
import type { ShellSandbox } from "../../servers/sandbox/shell.ts";
import { openTerminal } from "../../servers/sandbox/terminal.ts";
import { ToolError } from "../../servers/shared/errors.ts";
import { parseSettings } from "../../servers/shared/settings.ts";
import { createPipeline } from "../../servers/suite.ts";
import { type Signed, signedInOwner } from "./admin-suite.ts";
import { ORIGIN } from "./auth-suite.ts";

const toldSchema = z.union([
  z.strictObject({ starting: z.string() }),
  z.strictObject({ shell: z.string(), isReset: z.boolean() }),
  z.strictObject({ output: z.string(), at: z.number() }),
  z.strictObject({ again: z.literal(true) }),
  z.strictObject({ over: z.string() }),
]);
type Told = z.output<typeof toldSchema>;

/** A sandbox with one shell, of which the test says what it writes. */
export interface ScriptedSandbox extends ShellSandbox {
  /** Whose it is and its name, each time it was opened. */
  readonly opened: string[];
  readonly commands: string[];
  /** What was typed, by calls. */
  readonly typed: string[];
  /** How many bytes readers were sent. */
  sentBytes: number;
  write(text: string): void;
  end(exitCode: number): void;
  /** How long each call takes that types or resizes. */
  slowMs: number;
}

const SHELL = "0123456789abcdef";

export function scriptedSandbox(): ScriptedSandbox {
  let [written, exitCode, news] = ["", -1, Promise.withResolvers<void>()];
  const ofPast: { processId: string; command: string }[] = [{ processId: "plain", command: "sleep 600" }];
  const change = (): void => {
    news.resolve();
    news = Promise.withResolvers();
  };
  const info = () => ({
    ...{ startedAtMs: 0, durationMs: 1, hasTimedOut: false, isRunning: exitCode === -1 },
    ...(exitCode === -1 ? {} : { exitCode }),
  });
  const nothing = { text: "", totalBytes: 0, isCut: false };
  const sandbox: ScriptedSandbox = {
    ...{ opened: [], commands: [], typed: [], sentBytes: 0, slowMs: 0 },
    write: (text) => {
      written += text;
      change();
    },
    end: (code) => {
      exitCode = code;
      change();
    },
    exec: async ({ command, isInternal }) => {
      sandbox.commands.push(command);
      if (isInternal === true) await scheduler.wait(sandbox.slowMs);
      else ofPast.push({ processId: SHELL, command });
      return { ...info(), processId: SHELL, stdout: nothing, stderr: nothing };
    },
    listProcesses: async () => ofPast.map((one) => ({ ...info(), ...one })),
    readProcess: async (processId, { after, waitMs, until }, { signal }) => {
      const untilMs = Date.now() + waitMs;
      const isNew = (): boolean => written.length > after.stdout;
      while (!isNew() && exitCode === -1 && until === "output" && Date.now() < untilMs) {
        await Promise.race([news.promise, scheduler.wait(20)]);
        if (signal.aborted) throw new ToolError("cancelled", "The reader has gone.");
      }
      const text = written.slice(after.stdout);
      if (until === "output") sandbox.sentBytes += text.length;
      const stdout = { text, totalBytes: written.length, isCut: false };
      return { ...info(), ...{ processId, command: "", stdout, stderr: nothing, isReached: isNew() } };
    },
    writeInput: async (_processId, { text }) => {
      sandbox.typed.push(text);
      await scheduler.wait(sandbox.slowMs);
      return { stdout: written.length, stderr: 0 };
    },
  };
  return sandbox;
}

/** A page's end of a terminal. */
export interface TerminalPage {
  readonly told: Told[];
  say(message: object): void;
  /** The first of what was told that has this. */
  heard(key: string): Promise<Told>;
  /** The code that it was closed with. */
  readonly closed: Promise<number>;
  close(): void;
}

export interface TerminalSuite extends Signed {
  readonly sandbox: ScriptedSandbox;
  /** Asks for the WebSocket as a page of that origin does. */
  ask(query?: string, origin?: string): Promise<Response>;
  connect(query?: string): Promise<TerminalPage>;
}

/** The owner of a suite with that sandbox in the place of the runtime's; all else is the suite's own. */
export async function terminalSuite(): Promise<TerminalSuite> {
  const sandbox = scriptedSandbox();
  const waitUntil = (work: Promise<unknown>): void => void work.catch(() => undefined);
  const signed = await signedInOwner((desk: Desk) => ({
    ...desk,
    openTerminal: ({ person: { userId }, role }, order, isStillIn) => {
      sandbox.opened.push(`${userId} ${order.sandbox}`);
      const caller = { userId, role, scopes: withinRole(ALL_SCOPES, role), clientId: "page" };
      const gates = newGateMemory();
      const pipeline = createPipeline(env, parseSettings(env), caller, { waitUntil, gates });
      return openTerminal({ order, sandbox, pipeline, isStillIn, waitUntil });
    },
  }));
  const { suite, visit } = signed;
  const ask: TerminalSuite["ask"] = async (query = "", origin = ORIGIN) =>
    await suite.fetch(`/account/terminal/socket?sandbox=main&rows=40&columns=100${query}`, {
      headers: { Upgrade: "websocket", Cookie: visit.cookie, ...(origin === "" ? {} : { Origin: origin }) },
    });
  return { ...signed, sandbox, ask, connect: async (query) => pageOf(await ask(query)) };
}

function pageOf({ status, webSocket }: Response): TerminalPage {
  if (webSocket === null) throw new Error(`There is no WebSocket, but ${status}.`);
  const told: Told[] = [];
  const { promise: closed, resolve } = Promise.withResolvers<number>();
  webSocket.addEventListener("message", ({ data }) => {
    told.push(toldSchema.parse(JSON.parse(String(data))));
  });
  webSocket.addEventListener("close", ({ code }) => resolve(code));
  webSocket.accept();
  return {
    told,
    closed,
    say: (message) => webSocket.send(JSON.stringify(message)),
    close: () => webSocket.close(1_000),
    heard: async (key) => {
      for (const deadline = Date.now() + 20_000; Date.now() < deadline; await scheduler.wait(10)) {
        const found = told.find((message) => key in message);
        if (found !== undefined) return found;
      }
      throw new Error(`Nothing was heard of ${key}: ${JSON.stringify(told)}`);
    },
  };
}
