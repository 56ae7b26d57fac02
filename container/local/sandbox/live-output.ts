import { type Bytes, concatBytes, decode, NO_BYTES } from "./bytes.ts";

const LIVE_EVERY_MS = 250;
const LIVE_BYTES = 2_000;

/** Passes the newest output on, a few times a second. */
export class LiveOutput {
  readonly #onText: (text: string) => void;
  #pending: Bytes = NO_BYTES;
  #timer: NodeJS.Timeout | undefined;
  #isOn = true;

  constructor(onText: (text: string) => void) {
    this.#onText = onText;
  }

  push(bytes: Bytes): void {
    if (!this.#isOn) return;
    this.#pending = concatBytes([this.#pending, bytes.subarray(-LIVE_BYTES)]).subarray(-LIVE_BYTES);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#onText(decode(this.#pending));
      this.#pending = NO_BYTES;
    }, LIVE_EVERY_MS);
  }

  stop(): void {
    this.#isOn = false;
    clearTimeout(this.#timer);
  }
}
