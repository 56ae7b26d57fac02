"""Frames to the driver, and what is told of one output: head and tail as text."""

import codecs
import json
import os
import time

HEAD_SHARE = 0.6
LIVE_EVERY_SECONDS = 0.25
LIVE_BYTES = 2_000
UTF8_MAX_BYTES = 4


def encode(frame):
    """One line of ASCII JSON: whoever reads may split it anywhere without breaking a character."""
    return (json.dumps(frame) + "\n").encode("ascii")


def emit(frame):
    """Whoever waited may have gone, or does not read; what is at work goes on."""
    try:
        write_whole(encode(frame))
    except OSError:
        fall_silent()


def fall_silent():
    """Ends the answer while the program goes on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def write_whole(data):
    while data:
        data = data[os.write(1, data) :]


def cut(head, tail, total_bytes, max_chars, is_over=True):
    """
    Text with head and tail kept. `head` and `tail` have UTF8_MAX_BYTES for each character, or all that there is; of
    characters that are cut in two at their ends nothing is left. Before it is over, one whose end may still come waits
    for it.
    """
    text = _decode(head, is_over)
    if len(head) >= total_bytes and len(text) <= max_chars:
        return {"text": text, "isCut": False}
    head_chars = int(max_chars * HEAD_SHARE)
    kept = text[:head_chars]
    rest = _decode(tail, is_over)[head_chars - max_chars :]
    left_out = total_bytes - len(kept.encode()) - len(rest.encode())
    return {"text": f"{kept}\n… {max(left_out, 0)} bytes left out …\n{rest}", "isCut": True}


def _decode(data, is_over):
    return codecs.getincrementaldecoder("utf-8")("replace").decode(data, is_over)


class Capture:
    """Memory stays flat however much comes."""

    def __init__(self, max_chars, spool=None):
        self._max_chars = max_chars
        self._limit = max_chars * UTF8_MAX_BYTES
        self._head = bytearray()
        self._tail = bytearray()
        self._spool = spool
        self.total_bytes = 0

    def feed(self, data):
        self.total_bytes += len(data)
        if self._spool is not None:
            self._spool.write(data)
        if len(self._head) < self._limit:
            self._head += data[: self._limit - len(self._head)]
        self._tail += data[-self._limit :]
        if len(self._tail) > 2 * self._limit:
            del self._tail[: -self._limit]

    def snapshot(self):
        return cut(self._head, self._tail, self.total_bytes, self._max_chars) | {"totalBytes": self.total_bytes}


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
