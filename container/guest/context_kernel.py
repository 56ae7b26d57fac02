"""The process that keeps a code context's state, seen from its host, and what comes out of it."""

import json
import os
import shutil
import signal
import socket
import sys
import time

from output import Capture, encode
from processes import make_pipe, signal_name, spawn
from request import MEMORY

HERE = os.path.dirname(os.path.abspath(__file__))
KERNELS = {
    "python": (sys.executable, "-u", os.path.join(HERE, "kernel.py")),
    "javascript": (shutil.which("node"), "--disable-warning=ExperimentalWarning", os.path.join(HERE, "kernel.mjs")),
}
#: Figures come as results.
VARIABLES = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
#: IPython keeps its own things there, a few empty folders, without which it does not begin.
IPYTHON = "/tmp/ipython"
IPYTHON_BYTES = 1024 * 1024
READ_BYTES = 256 * 1024
START_SECONDS = 30.0
#: A process that ends closes its connection a little before it is seen to have ended.
END_SECONDS = 0.5


class Kernel:
    """Reads a JSON line for each run from file descriptor 3, and answers with some."""

    def __init__(self, language, cwd):
        self.is_told_by_signal = language == "python"
        self.control, theirs = socket.socketpair()
        self.control.setblocking(False)
        self.outputs, writers = {}, []
        for name in ("stdout", "stderr"):
            self.outputs[name], writer = make_pipe()
            writers.append(writer)
        nowhere = os.open("/dev/null", os.O_RDONLY)
        self.pid = spawn(list(KERNELS[language]), [nowhere, *writers, theirs.detach()], cwd, _variables())
        self.status = None
        self.held = b""
        self._wait_until_ready()

    def _wait_until_ready(self):
        self.control.settimeout(START_SECONDS)
        try:
            while self.status is None and b"\n" not in self.held:
                data = self.control.recv(READ_BYTES)
                if data == b"":
                    break
                self.held += data
        except TimeoutError:
            pass  # The first run finds out what it is worth.
        self.control.setblocking(False)

    def is_alive(self):
        while self.status is None:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return True
            if pid == self.pid:
                self.status = status
        return False

    def ask(self, message):
        self.control.setblocking(True)
        self.control.sendall(encode(message))
        self.control.setblocking(False)

    def interrupt(self):
        if self.is_told_by_signal:
            os.killpg(self.pid, signal.SIGINT)  # What it started too, as Ctrl-C does.
        else:
            self.ask({"stop": True})

    def read_messages(self):
        """What it has said since; nothing at all once it has ended."""
        try:
            data = self.control.recv(READ_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if data == b"":
            return None
        *lines, self.held = (self.held + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def describe_end(self):
        until = time.monotonic() + END_SECONDS
        while self.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
        if self.status is None:
            return "it closed its connection"
        return signal_name(self.status) or f"exit code {os.waitstatus_to_exitcode(self.status)}"

    def close(self):
        self.control.close()
        for fd in self.outputs.values():
            os.close(fd)


def _variables():
    disk = os.statvfs(os.path.dirname(IPYTHON))
    has_room = disk.f_bavail * disk.f_frsize >= IPYTHON_BYTES
    return VARIABLES | {"IPYTHONDIR": IPYTHON if has_room else os.path.join(MEMORY, "ipython")}


class MarkedCapture(Capture):
    """A capture that ends where the kernel has written the run's mark."""

    def __init__(self, max_chars, mark):
        super().__init__(max_chars)
        self._mark = b"\0" + mark.encode("ascii")
        self._held = b""
        self.is_over = False

    def feed(self, data):
        """Returns what of it belongs to the run; the beginning of a mark waits for its end."""
        if self.is_over:
            return b""
        data = self._held + data
        end = data.find(self._mark)
        if end != -1:
            self.is_over = True
            self._held = b""
        else:
            end = self._start_of_mark(data)
            self._held = data[end:]
        super().feed(data[:end])
        return data[:end]

    def snapshot(self):
        super().feed(self._held)
        self._held = b""
        return super().snapshot()

    def _start_of_mark(self, data):
        start = data.rfind(b"\0", max(0, len(data) - len(self._mark) + 1))
        while start != -1:
            if self._mark.startswith(data[start:]):
                return start
            start = data.rfind(b"\0", max(0, len(data) - len(self._mark) + 1), start)
        return len(data)
