import type { Writable } from "node:stream";

export const TO_AGENT: Readonly<
  Record<
    | ("spawn" | "stdin" | "control" | "kill" | "forget" | "file")
    | ("bytes" | "input" | "port" | "dial" | "there" | "taken" | "egress"),
    number
  >
>;
export const FROM_AGENT: {
  readonly ready: 16;
  readonly stdout: 17;
  readonly stderr: 18;
  readonly control: 19;
  readonly exit: 20;
  readonly done: 21;
  readonly failed: 22;
  readonly bytes: 23;
  readonly started: 24;
  readonly connected: 25;
  readonly taken: 26;
};
export const PIECES_AHEAD: number;
export const MAX_FRAME_BYTES: number;
export function frame(kind: number, call: number, content?: Uint8Array | string): Uint8Array;
export function writeFrame(stream: Writable, kind: number, call: number, content: Uint8Array): boolean;
export function frameReader(
  onFrame: (kind: number, call: number, content: Uint8Array) => void,
): (chunk: Uint8Array) => void;
