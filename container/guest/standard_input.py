"""What a command reads, written as it takes it: a pipe that ends or stays open, or a terminal."""

import os
import selectors

WRITE_BYTES = 256 * 1024
#: What a command that does not read may have waiting for it.
MAX_PENDING_BYTES = 32 * 1024 * 1024
CTRL_D = b"\x04"


class StandardInput:
    def __init__(self, selector, fd, kind, text):
        os.set_blocking(fd, False)
        self._selector = selector
        self._fd = fd
        self._is_terminal = kind == "terminal"
        self._pending = memoryview(text.encode())
        self._is_ending = kind == "closed"
        self._is_waiting = False
        self.write()

    def add(self, text, is_end):
        """What it is refused for, or nothing."""
        if self._fd is None or self._is_ending:
            return "conflict", "The process's input is closed; start it anew with input open to write to it."
        data = text.encode() + (CTRL_D if is_end and self._is_terminal else b"")
        if len(self._pending) + len(data) > MAX_PENDING_BYTES:
            return "limit_reached", "The process has not read what was written before; wait until it has."
        self._pending = memoryview(bytes(self._pending) + data)
        self._is_ending = is_end and not self._is_terminal
        self.write()
        return None

    def write(self):
        """As much as it takes now; the rest when it takes more."""
        while self._pending:
            try:
                self._pending = self._pending[os.write(self._fd, self._pending[:WRITE_BYTES]) :]
            except BlockingIOError:
                self._wait(True)
                return
            except OSError:  # Nobody reads any more.
                self.close()
                return
        self._wait(False)
        if self._is_ending:
            self.close()

    def close(self):
        if self._fd is None:
            return
        self._wait(False)
        os.close(self._fd)
        self._fd = None
        self._pending = memoryview(b"")

    def _wait(self, is_waiting):
        if is_waiting and not self._is_waiting:
            self._selector.register(self._fd, selectors.EVENT_WRITE, lambda _: self.write())
        if self._is_waiting and not is_waiting:
            self._selector.unregister(self._fd)
        self._is_waiting = is_waiting
