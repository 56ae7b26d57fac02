"""How a running command is told something from outside: a socket in its folder, one JSON line each way."""

import json
import os
import selectors
import socket

from output import encode
from request import refusal

#: What somebody may say at once: text for standard input, escaped.
MAX_LINE_BYTES = 64 * 1024 * 1024
READ_BYTES = 256 * 1024
ANSWER_SECONDS = 20.0
NAME = "control"


class Control:
    """Listens; `answer` is called with what was asked, and says which frame goes back."""

    def __init__(self, selector, folder, answer):
        self._selector = selector
        self._path = os.path.join(folder, NAME)
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self._path)
        self._listener.listen()
        self._listener.setblocking(False)
        selector.register(self._listener, selectors.EVENT_READ, lambda _: self._accept())

    def close(self):
        os.unlink(self._path)
        self._selector.unregister(self._listener)
        self._listener.close()

    def _accept(self):
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        held = bytearray()
        self._selector.register(connection, selectors.EVENT_READ, lambda _: self._hear(connection, held))

    def _hear(self, connection, held):
        try:
            data = connection.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        held += data
        if data != b"" and b"\n" not in data and len(held) <= MAX_LINE_BYTES:
            return
        self._selector.unregister(connection)
        with connection:
            try:
                connection.sendall(encode(self._answer(json.loads(held))))
            except (OSError, ValueError, TypeError, KeyError, AttributeError):
                pass  # It came from the caller's own code; nobody waits for an answer.


def tell(folder, request):
    """The frame that the command's watcher answers with."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(os.path.join(folder, NAME))
            connection.sendall(encode(request))
            with connection.makefile("rb") as lines:
                line = lines.readline()
        except OSError:
            line = b""
    if line == b"":
        return refusal("conflict", "The process has ended; start it anew to go on.")
    return json.loads(line)
