"""
Runs one command for the container driver and watches over it.

The SDK's own exec has no standard input, keeps all output in memory and kills by process group only; this keeps
memory flat and kills the whole tree. The request is JSON in PINCER_REQUEST or the file that PINCER_REQUEST_FILE
names; frames leave on standard output, the last one being the result. Started as its own process, it goes on when
nobody reads any more.
"""

import json
import os
import selectors
import signal
import sys
import time

from output import Capture, Live, emit
from processes import become_subreaper, kill_descendants, make_pipe, signal_name, spawn
from request import files_are_mounted, read_request, sign_in

READ_BYTES = 256 * 1024
#: The longest argument that Linux takes is 128 KiB.
MAX_ARGUMENT_BYTES = 120_000
#: How long output of children is waited for when the command itself has ended.
DRAIN_SECONDS = 0.05


class Run:
    def __init__(self, request):
        self.request = request
        self.folder = sign_in(request["id"])
        self.captures = {
            name: Capture(request["maxChars"], os.path.join(self.folder, name)) for name in ("stdout", "stderr")
        }
        self.live = Live(emit)
        self.selector = selectors.DefaultSelector()
        self.pending_stdin = memoryview(request.get("stdin", "").encode())
        self.started_at = time.monotonic()
        self.ended_at = None
        self.status = None
        self.has_timed_out = False

    def start(self):
        stdin, stdin_writer = os.pipe()
        os.set_blocking(stdin_writer, False)
        fds = [stdin]
        for name in self.captures:
            reader, writer = make_pipe()
            self.selector.register(reader, selectors.EVENT_READ, name)
            fds.append(writer)
        self.selector.register(stdin_writer, selectors.EVENT_WRITE, "stdin")
        self.pid = spawn(self._arguments(), fds, self.request["cwd"], self.request.get("env", {}))

    def _arguments(self):
        command = self.request["command"]
        if len(command.encode()) <= MAX_ARGUMENT_BYTES:
            return ["/bin/bash", "-c", command]
        path = os.path.join(self.folder, "command")
        with open(path, "w") as script:
            script.write(command)
        return ["/bin/bash", path]

    def watch(self):
        """Emits the result when the command ends or the wait is over, and stays until both have happened."""
        wakeup, wakeup_writer = os.pipe()
        for fd in (wakeup, wakeup_writer):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wakeup_writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: kill_descendants(os.getpid()))
        self.selector.register(wakeup, selectors.EVENT_READ, "wakeup")
        wait_until = self.started_at + self.request["waitMs"] / 1000
        time_out_at = self.started_at + self.request["timeoutMs"] / 1000
        self._reap()
        while not self._is_over():
            now = time.monotonic()
            if self.status is None and now >= time_out_at:
                self.has_timed_out = True
                kill_descendants(os.getpid())
                self._reap()
            if self.live.is_on and now >= wait_until and self.status is None:
                self._report()
            next_at = time_out_at if self.status is None else self.ended_at + DRAIN_SECONDS
            self._step(min(next_at, wait_until) if self.live.is_on else next_at)
        if self.live.is_on:
            self._report()
        with open(os.path.join(self.folder, "result.json"), "w") as result:
            json.dump(self._result(), result)
        while self._has_open_outputs():  # A server that the command left behind still writes.
            self._step(None)

    def _is_over(self):
        if self.status is None:
            return False
        return not self._has_open_outputs() or time.monotonic() > self.ended_at + DRAIN_SECONDS

    def _has_open_outputs(self):
        return any(key.data in self.captures for key in self.selector.get_map().values())

    def _step(self, until):
        """Waits for the next thing to happen, or until that moment, and takes in what came."""
        waits = [self.live.due_in(), None if until is None else max(0.0, until - time.monotonic())]
        waits = [wait for wait in waits if wait is not None]
        for key, _ in self.selector.select(min(waits) if waits else None):
            if key.data == "stdin":
                self._write(key.fd)
            elif key.data == "wakeup":
                os.read(key.fd, 4096)
            else:
                self._read(key.fd, key.data)
        self._reap()
        self.live.flush()

    def _read(self, fd, name):
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return
        if data == b"":
            self.selector.unregister(fd)
            os.close(fd)
            return
        self.captures[name].feed(data)
        self.live.feed(data)

    def _write(self, fd):
        try:
            self.pending_stdin = self.pending_stdin[os.write(fd, self.pending_stdin[:READ_BYTES]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.pending_stdin = memoryview(b"")
        if not self.pending_stdin:
            self.selector.unregister(fd)
            os.close(fd)

    def _reap(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.pid:
                self.status = status
                self.ended_at = time.monotonic()

    def _report(self):
        emit({"result": self._result()})
        self.live.is_on = False

    def _result(self):
        result = {
            "isRunning": self.status is None,
            "hasTimedOut": self.has_timed_out,
            "durationMs": round(1000 * ((self.ended_at or time.monotonic()) - self.started_at)),
        } | {name: capture.snapshot() for name, capture in self.captures.items()}
        if self.status is not None:
            code = os.waitstatus_to_exitcode(self.status)
            result["exitCode"] = code if code >= 0 else 128 - code
            if code < 0:
                result["signal"] = signal_name(self.status)
        return result


def main():
    request = read_request()
    if not files_are_mounted(request):
        emit({"unmounted": True})
        return
    if not os.path.isdir(request["cwd"]):
        emit({"refused": {"code": "invalid_input", "message": f"There is no folder {request['cwd']}; make it first."}})
        return
    become_subreaper()
    run = Run(request)
    run.start()
    run.watch()


if __name__ == "__main__":
    sys.exit(main())
