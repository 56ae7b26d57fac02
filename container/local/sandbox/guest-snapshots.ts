import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import * as z from "zod";
import { type AgentLink, AgentRefusal, parseJson, refusal } from "./agent-link.ts";
import { NO_BYTES, release } from "./bytes.ts";
import type { Agent } from "./enclosure.ts";
import { FROM_AGENT, TO_AGENT } from "./inside/frames.mjs";
import { Problem } from "./problem.ts";
import { TOKEN_CHARS } from "./snapshot-socket.ts";

/** A million files that compress to nothing take minutes in which nothing is heard; what hangs longer is given up. */
const SILENCE_MS = 10 * 60_000;

const NO_TAR = "Snapshots of the workspace need GNU tar, which this machine does not have; install it.";

const seenSchema = z.object({ fingerprint: z.string().max(200), unreadable: z.int().nonnegative() });

type Seen = z.output<typeof seenSchema>;

/** What `snapshot.sh` does inside, as the sandbox's agent is told. */
export interface GuestSnapshots {
  /** Nothing where no snapshots can be made, with the reason. */
  look(): Promise<Seen | { readonly reason: string }>;
  /** Throws in the middle where it is not whole. */
  save(): AsyncGenerator<Uint8Array>;
  /** Fills an empty workspace; nothing where what came is damaged. The bytes are gone afterwards. */
  restore(body: AsyncIterable<Uint8Array>): Promise<Seen | undefined>;
}

export function guestSnapshots({ link, snapshotSocket }: Agent): GuestSnapshots {
  /** Tells the agent to connect what packs or unpacks. */
  const connect = async (op: "save" | "restore"): Promise<{ talk: Talk; connection: Socket }> => {
    if (snapshotSocket === undefined) throw new Error("Nothing of this sandbox can be packed.");
    const token = randomBytes(TOKEN_CHARS / 2).toString("hex");
    const meeting = snapshotSocket.meet(token);
    const talk = new Talk(link, { op, token });
    try {
      const connection = await talk.unlessFailed(meeting);
      connection.setTimeout(SILENCE_MS, () => connection.destroy(silent()));
      return { talk, connection };
    } catch (error) {
      talk.close();
      throw error;
    }
  };
  return {
    look: async () => {
      const talk = new Talk(link, { op: "look" });
      try {
        return seenSchema.parse(await talk.answer());
      } catch (error) {
        if (error instanceof AgentRefusal && error.code === "ENOTAR") return { reason: NO_TAR };
        throw translated(error, "looked at");
      } finally {
        talk.close();
      }
    },
    save: async function* () {
      const { talk, connection } = await connect("save");
      try {
        for await (const piece of connection) yield bytesOf(piece);
        await talk.answer();
      } catch (error) {
        throw translated(error, "packed");
      } finally {
        talk.close();
      }
    },
    restore: async (body) => {
      const { talk, connection } = await connect("restore");
      try {
        for await (const part of body) {
          await write(connection, part);
          release(part);
        }
        connection.end();
        return seenSchema.parse(await talk.answer());
      } catch (error) {
        if (error instanceof AgentRefusal && error.code === "EDAMAGED") return undefined;
        throw translated(error, "restored");
      } finally {
        talk.close();
        connection.destroy();
      }
    },
  };
}

function bytesOf(piece: unknown): Uint8Array {
  if (!(piece instanceof Uint8Array)) throw new Error("The snapshot was read as text.");
  return piece;
}

/** What has given up is not fed any more: how it ends tells why. What still comes for it is to be read all the same. */
async function write(connection: Socket, bytes: Uint8Array): Promise<void> {
  if (connection.writable) await new Promise<void>((resolve) => connection.write(bytes, () => resolve()));
}

function silent(): Problem {
  return new Problem("unavailable", "The sandbox is silent; try again.");
}

function translated(error: unknown, what: string): unknown {
  if (!(error instanceof AgentRefusal)) return error;
  return new Problem("unavailable", `The workspace could not be ${what}; see how full its disk is, and try again.`);
}

/** One call of the agent, which answers once. */
class Talk {
  readonly #link: AgentLink;
  readonly #call: number;
  readonly #answer: Promise<unknown>;
  #isOver = false;

  constructor(link: AgentLink, request: { readonly op: "look" | "save" | "restore"; readonly token?: string }) {
    this.#link = link;
    const { promise, resolve, reject } = Promise.withResolvers();
    this.#call = link.open(TO_AGENT.file, request, {
      onFrame: (kind, content) => {
        if (kind === FROM_AGENT.done) resolve(parseJson(content));
        else if (kind === FROM_AGENT.failed) reject(refusal(content));
      },
      onLost: (reason) => reject(new Problem("unavailable", reason)),
    });
    const end = (): void => void (this.#isOver = true);
    // Whoever asks for it hears of it.
    promise.then(end, end);
    this.#answer = promise;
  }

  async answer(): Promise<unknown> {
    const { promise, reject } = Promise.withResolvers<never>();
    const silence = setTimeout(() => reject(silent()), SILENCE_MS);
    return await Promise.race([this.#answer, promise]).finally(() => clearTimeout(silence));
  }

  /** What `work` answers, or why the agent gave up meanwhile. */
  async unlessFailed<Result>(work: Promise<Result>): Promise<Result> {
    const { promise, reject } = Promise.withResolvers<never>();
    this.#answer.catch(reject);
    return await Promise.race([work, promise]);
  }

  /** Ends what is still at work for it. */
  close(): void {
    this.#link.close(this.#call);
    if (!this.#isOver) void this.#link.send(TO_AGENT.forget, this.#call, NO_BYTES);
  }
}
