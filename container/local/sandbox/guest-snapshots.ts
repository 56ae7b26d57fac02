import * as z from "zod";
import { type AgentLink, AgentRefusal, parseJson, refusal } from "./agent-link.ts";
import { type Bytes, NO_BYTES } from "./bytes.ts";
import { FROM_AGENT, TO_AGENT } from "./inside/frames.mjs";
import { Problem } from "./problem.ts";

/** A frame's worth of a snapshot on its way in. */
const CHUNK_BYTES = 256 * 1024;
/** The agent waits for its reader long before this. */
const MAX_QUEUED_BYTES = 16 * 1024 * 1024;
/** A million files that compress to nothing take minutes in which nothing is heard; what hangs longer is given up. */
const SILENCE_MS = 10 * 60_000;

const NO_TAR = "Snapshots of the workspace need GNU tar, which this machine does not have; install it.";
const DISTURBED = "Something inside disturbed the sandbox; it was started afresh.";

const seenSchema = z.object({ fingerprint: z.string().max(200), unreadable: z.int().nonnegative() });

type Seen = z.output<typeof seenSchema>;

/** What `snapshot.sh` does inside, through the sandbox's agent. */
export interface GuestSnapshots {
  /** Nothing where no snapshots can be made, with the reason. */
  look(): Promise<Seen | { readonly reason: string }>;
  /** Throws in the middle where it is not whole. */
  save(): AsyncGenerator<Bytes>;
  /** Fills an empty workspace; nothing where what came is damaged. */
  restore(body: AsyncIterable<Uint8Array>): Promise<Seen | undefined>;
}

export function guestSnapshots(link: AgentLink): GuestSnapshots {
  return {
    look: async () => {
      try {
        return seenSchema.parse(await new Talk(link, "look").answer());
      } catch (error) {
        if (error instanceof AgentRefusal && error.code === "ENOTAR") return { reason: NO_TAR };
        throw translated(error, "looked at");
      }
    },
    save: async function* () {
      const talk = new Talk(link, "save");
      try {
        yield* talk.read();
      } catch (error) {
        throw translated(error, "packed");
      } finally {
        talk.close();
      }
    },
    restore: async (body) => {
      const talk = new Talk(link, "restore");
      try {
        for await (const part of body) await talk.write(part);
        return seenSchema.parse(await talk.answer());
      } catch (error) {
        if (error instanceof AgentRefusal && error.code === "EDAMAGED") return undefined;
        throw translated(error, "restored");
      } finally {
        talk.close();
      }
    },
  };
}

function translated(error: unknown, what: string): unknown {
  if (!(error instanceof AgentRefusal)) return error;
  return new Problem("unavailable", `The workspace could not be ${what}; see how full its disk is, and try again.`);
}

type End = { readonly answer: unknown } | { readonly error: Error };

/** One call of the agent with bytes in one direction. */
class Talk {
  readonly #link: AgentLink;
  readonly #call: number;
  readonly #queue: Bytes[] = [];
  #queuedBytes = 0;
  #wake: () => void = () => undefined;
  #end: End | undefined;

  constructor(link: AgentLink, op: "look" | "save" | "restore") {
    this.#link = link;
    const end = (value: End): void => {
      this.#end ??= value;
      this.#wake();
    };
    this.#call = link.open(
      TO_AGENT.file,
      { op },
      {
        onFrame: (kind, content) => {
          if (kind === FROM_AGENT.done) end({ answer: parseJson(content) });
          else if (kind === FROM_AGENT.failed) end({ error: refusal(content) });
          else if ((this.#queuedBytes += content.length) > MAX_QUEUED_BYTES) link.kill(DISTURBED);
          else {
            this.#queue.push(content);
            this.#wake();
          }
        },
        onLost: (reason) => end({ error: new Problem("unavailable", reason) }),
      },
    );
  }

  /** What it sends, piece by piece. */
  async *read(): AsyncGenerator<Bytes> {
    for (;;) {
      const piece = this.#queue.shift();
      if (piece !== undefined) {
        this.#queuedBytes -= piece.length;
        void this.#link.send(TO_AGENT.bytes, this.#call, NO_BYTES);
        yield piece;
      } else if (this.#end !== undefined) {
        if ("error" in this.#end) throw this.#end.error;
        return;
      } else await this.#news();
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length && this.#end === undefined; at += CHUNK_BYTES)
      await this.#link.send(TO_AGENT.bytes, this.#call, bytes.subarray(at, at + CHUNK_BYTES));
  }

  /** Says that all is sent, and waits for what comes back. */
  async answer(): Promise<unknown> {
    await this.#link.send(TO_AGENT.bytes, this.#call, NO_BYTES);
    while (this.#end === undefined) await this.#news();
    if ("error" in this.#end) throw this.#end.error;
    return this.#end.answer;
  }

  /** Ends what is still at work for it. */
  close(): void {
    this.#link.close(this.#call);
    if (this.#end === undefined) void this.#link.send(TO_AGENT.forget, this.#call, NO_BYTES);
  }

  async #news(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const silence = setTimeout(
      () => reject(new Problem("unavailable", "The sandbox is silent; try again.")),
      SILENCE_MS,
    );
    await promise.finally(() => clearTimeout(silence));
  }
}
