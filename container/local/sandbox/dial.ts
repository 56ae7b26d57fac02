import { Duplex } from "node:stream";
import { type AgentLink, AgentRefusal, refusal } from "./agent-link.ts";
import { type Bytes, NO_BYTES, copyBytes } from "./bytes.ts";
import { FROM_AGENT, PIECES_AHEAD, TO_AGENT } from "./inside/frames.mjs";

const PIECE_BYTES = 64 * 1024;
const DIAL_MS = 10_000;

/** More than one browser opens, and less than what takes the memory of the sandbox's agent. */
const MAX_CONNECTIONS = 512;

/** What is connected to the ports of one sandbox. */
export class Connections {
  readonly #open = new Map<Duplex, number>();

  /** Rejects with `AgentRefusal` where nothing listens there, or too much is connected. */
  async dial(link: AgentLink, port: number): Promise<Duplex> {
    if (this.#open.size >= MAX_CONNECTIONS) throw new AgentRefusal("EMFILE");
    const connection = await dialGuest(link, port);
    this.#open.set(connection, port);
    connection.once("close", () => this.#open.delete(connection));
    return connection;
  }

  hangUp(port: number): void {
    for (const [connection, its] of this.#open) if (its === port) connection.destroy();
  }
}

async function dialGuest(link: AgentLink, port: number): Promise<Duplex> {
  const connection = new GuestConnection(link, port);
  const timer = setTimeout(() => connection.destroy(new AgentRefusal("ETIMEDOUT")), DIAL_MS);
  try {
    await connection.connected;
    return connection;
  } catch (error) {
    connection.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Its bytes go through the agent, a few pieces ahead of whoever takes them, on either side. */
class GuestConnection extends Duplex {
  /** Whether it came to be. */
  readonly connected: Promise<void>;
  readonly #link: AgentLink;
  readonly #call: number;
  readonly #connected = Promise.withResolvers<void>();
  /** Pieces that the agent would take now. */
  #credit: number = PIECES_AHEAD;
  /** Pieces that were taken and not yet told, since the reader is behind. */
  #owed = 0;
  #unread = 0;
  #waiting: (() => void) | undefined;
  #isOver = false;

  constructor(link: AgentLink, port: number) {
    super({ readableHighWaterMark: PIECE_BYTES, writableHighWaterMark: PIECE_BYTES });
    this.#link = link;
    this.connected = this.#connected.promise;
    this.#call = link.open(
      TO_AGENT.dial,
      { port },
      {
        onFrame: (kind, content) => this.#take(kind, content),
        onLost: (reason) => this.#fail(new Error(reason)),
      },
    );
    // Whoever waits for it hears of it, now and later.
    this.on("error", () => undefined);
    this.connected.catch(() => undefined);
    this.once("close", () => this.#connected.reject(new AgentRefusal("ECLOSED")));
  }

  #take(kind: number, content: Bytes): void {
    switch (kind) {
      case FROM_AGENT.connected:
        return this.#connected.resolve();
      case FROM_AGENT.taken:
        this.#credit += 1;
        return this.#goOn();
      case FROM_AGENT.bytes:
        return content.length === 0 ? void this.push(null) : this.#receive(content);
      case FROM_AGENT.done:
        // What is still written goes nowhere, as on any connection that the other side has closed.
        this.#isOver = true;
        if (!this.readableEnded) this.push(null);
        return this.#goOn();
      case FROM_AGENT.failed:
        return this.#fail(refusal(content));
    }
  }

  #fail(error: Error): void {
    this.#connected.reject(error);
    this.destroy(error);
  }

  #receive(content: Bytes): void {
    this.#unread += 1;
    if (this.#unread > PIECES_AHEAD) {
      this.#link.kill("Something inside disturbed the sandbox; it was started afresh.");
      return;
    }
    this.#owed += 1;
    if (this.push(copyBytes(content))) this.#tellTaken();
  }

  #tellTaken(): void {
    for (; this.#owed > 0; this.#owed -= 1) {
      this.#unread -= 1;
      void this.#link.send(TO_AGENT.taken, this.#call, NO_BYTES);
    }
  }

  #goOn(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }

  override _read(): void {
    this.#tellTaken();
  }

  override _write(chunk: Bytes, _encoding: string, done: (error?: Error) => void): void {
    void this.#sendAll(chunk).then(() => done(), done);
  }

  async #sendAll(chunk: Bytes): Promise<void> {
    for (let at = 0; at < chunk.length && !this.#isOver; at += PIECE_BYTES) {
      while (this.#credit <= 0 && !this.#isOver) await new Promise<void>((resolve) => (this.#waiting = resolve));
      this.#credit -= 1;
      await this.#link.send(TO_AGENT.there, this.#call, chunk.subarray(at, at + PIECE_BYTES));
    }
  }

  override _final(done: () => void): void {
    if (!this.#isOver) void this.#link.send(TO_AGENT.there, this.#call, NO_BYTES);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (!this.#isOver) void this.#link.send(TO_AGENT.forget, this.#call, NO_BYTES);
    this.#isOver = true;
    this.#link.close(this.#call);
    this.#goOn();
    done(error);
  }
}
