import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

const MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const ANSWER = "Heard through the socket";
const ANSWER_DELAY_MS = 400;
/** A whole message of text. */
const TEXT_FRAME = 0x81;

/** A WebSocket (RFC 6455) that answers whatever it is told, 400 ms later, with the same words. */
export function answerSocket({ headers }: IncomingMessage, socket: Duplex): void {
  const accept = createHash("sha1").update(`${headers["sec-websocket-key"]}${MAGIC}`).digest("base64");
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  socket.on("data", () => {
    setTimeout(() => {
      if (socket.writable) socket.write(Uint8Array.of(TEXT_FRAME, ANSWER.length, ...new TextEncoder().encode(ANSWER)));
    }, ANSWER_DELAY_MS);
  });
  socket.on("error", () => socket.destroy());
}
