"""Frames to the driver, and what is kept of one output: head and tail as text, the first 64 MB in a file."""

import json
import os
import time

SPOOL_BYTES = 64 * 1024 * 1024
HEAD_SHARE = 0.6
LIVE_EVERY_SECONDS = 0.25
LIVE_BYTES = 2_000
UTF8_MAX_BYTES = 4


def encode(frame):
    """One line of ASCII JSON: whoever reads may split it anywhere without breaking a character."""
    return (json.dumps(frame) + "\n").encode("ascii")


def emit(frame):
    write_whole(encode(frame))


def write_whole(data):
    while data:
        data = data[os.write(1, data) :]


class Capture:
    """Memory stays flat however much comes."""

    def __init__(self, max_chars, spool_path=None):
        self._max_chars = max_chars
        self._head_limit = max_chars * UTF8_MAX_BYTES
        self._head = bytearray()
        self._tail = bytearray()
        self._spool = None if spool_path is None else open(spool_path, "wb", buffering=0)
        self._spooled = 0
        self.total_bytes = 0

    def feed(self, data):
        self.total_bytes += len(data)
        if self._spool is not None and self._spooled < SPOOL_BYTES:
            self._spooled += self._spool.write(data[: SPOOL_BYTES - self._spooled])
        if len(self._head) < self._head_limit:
            self._head += data[: self._head_limit - len(self._head)]
        self._tail += data[-self._head_limit :]
        if len(self._tail) > 2 * self._head_limit:
            del self._tail[: -self._head_limit]

    def snapshot(self):
        text = self._head.decode("utf-8", "replace")
        if self.total_bytes <= self._head_limit and len(text) <= self._max_chars:
            return {"text": text, "totalBytes": self.total_bytes, "isCut": False}
        head_chars = int(self._max_chars * HEAD_SHARE)
        head = text[:head_chars]
        tail = self._tail.decode("utf-8", "replace")[head_chars - self._max_chars :]
        left_out = self.total_bytes - len(head.encode()) - len(tail.encode())
        note = f"\n… {max(left_out, 0)} bytes left out …\n"
        return {"text": head + note + tail, "totalBytes": self.total_bytes, "isCut": True}


class Live:
    """Passes on the newest output a few times a second, and says nothing once nobody waits."""

    def __init__(self, send):
        self._send = send
        self._pending = bytearray()
        self._next_at = 0.0
        self.is_on = True

    def feed(self, data):
        if self.is_on:
            self._pending += data
            del self._pending[:-LIVE_BYTES]

    def due_in(self):
        return None if not self._pending or not self.is_on else max(0.0, self._next_at - time.monotonic())

    def flush(self):
        if self.is_on and self._pending and time.monotonic() >= self._next_at:
            self._send({"output": self._pending.decode("utf-8", "replace")})
            self._pending.clear()
            self._next_at = time.monotonic() + LIVE_EVERY_SECONDS
