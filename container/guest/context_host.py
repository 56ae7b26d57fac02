"""
Watches over one code context: starts its kernel, captures what that and its children write, interrupts it, and
notices that it died. One run at a time; whoever asks meanwhile waits.
"""

import json
import os
import secrets
import selectors
import time

from context_kernel import READ_BYTES, Kernel, MarkedCapture
from context_state import Busy, forget_kernel, remember_kernel
from out_of_memory import count_kills
from output import Live, encode
from processes import become_subreaper, kill_descendants
from request import has_left

#: A kernel that does not answer so long after an interrupt is killed.
INTERRUPT_SECONDS = 3.0
#: How long the outputs' ends are waited for when the kernel has said that it is done.
MARK_SECONDS = 0.5
#: All that one run may display, in characters of JSON; the Worker that takes it has 128 MB.
MAX_RESULT_CHARS = 16_000_000
OUT_OF_MEMORY = "The sandbox's memory was used up and the kernel ended the context's process; use less memory at a time"
TOO_MUCH = {"text": "… more was displayed than fits …"}


class ContextHost:
    def __init__(self, language, cwd, listener, folder):
        self.language = language
        self.cwd = cwd
        self.listener = listener
        self.folder = folder
        self.kernel = None

    def serve(self):
        become_subreaper()
        busy = Busy(self.folder)
        while True:
            connection, _ = self.listener.accept()
            with connection, connection.makefile("rb") as lines:
                line = lines.readline()
                # Cancelled while they waited for their turn: before or after all of their code was in the socket.
                if not line.endswith(b"\n") or has_left(connection):
                    continue
                request = json.loads(line)
                with busy:
                    result = self._run(request, connection)
                try:
                    connection.sendall(encode({"result": result}))
                except OSError:
                    pass  # Whoever asked has gone.

    def _run(self, request, connection):
        if request.get("isFresh") or self.kernel is None or not self.kernel.is_alive():
            self._forget_kernel()
            self.kernel = Kernel(self.language, self.cwd)
            remember_kernel(self.folder, self.kernel.pid)
        run = Run(self.kernel, request, connection)
        result = run.finish()
        if run.is_kernel_lost:
            self._forget_kernel()
        return result

    def _forget_kernel(self):
        """Its children go with it: the next run starts afresh."""
        forget_kernel(self.folder)
        kill_descendants(os.getpid())
        if self.kernel is not None:
            self.kernel.close()
            self.kernel = None


class Run:
    def __init__(self, kernel, request, connection):
        self.kernel = kernel
        self.timeout_seconds = request["timeoutMs"] / 1000
        self.code = {"code": request["code"], "language": request["language"]}
        self.mark = secrets.token_hex(16)
        self.captures = {name: MarkedCapture(request["maxChars"], self.mark) for name in kernel.outputs}
        self.connection = connection
        self.live = Live(lambda frame: connection.sendall(encode(frame)))
        self.results = []
        self.result_chars = 0
        self.error = None
        self.is_done = False
        self.is_kernel_lost = False
        self.has_begun = False
        self.interrupted_at = None

    def finish(self):
        started_at = time.monotonic()
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.connection, selectors.EVENT_READ, "connection")
        self.selector.register(self.kernel.control, selectors.EVENT_READ, "control")
        for name, fd in self.kernel.outputs.items():
            self.selector.register(fd, selectors.EVENT_READ, name)
        self.kills_before = count_kills()
        self.kernel.ask({"mark": self.mark} | self.code)
        self._watch(started_at)
        self._wait_for_marks()
        self.selector.close()
        result = {"results": self.results, "durationMs": round(1000 * (time.monotonic() - started_at))}
        if self.error is not None:
            result["error"] = self.error
        return result | {name: capture.snapshot() for name, capture in self.captures.items()}

    def _watch(self, started_at):
        interrupt_at = started_at + self.timeout_seconds
        while not self.is_done:
            now = time.monotonic()
            if self.interrupted_at is None and now >= interrupt_at:
                self._interrupt()
            if self.interrupted_at is not None and now >= self.interrupted_at + INTERRUPT_SECONDS:
                ran = f"The code ran for {self.timeout_seconds:g} s and could not be interrupted"
                self._lose_kernel("Interrupted", f"{ran}; its context is fresh on the next run.")
                return
            next_at = interrupt_at if self.interrupted_at is None else self.interrupted_at + INTERRUPT_SECONDS
            self._step(next_at)

    def _wait_for_marks(self):
        until = time.monotonic() + MARK_SECONDS
        while time.monotonic() < until and not all(capture.is_over for capture in self.captures.values()):
            if self.is_kernel_lost and not self._step(time.monotonic()):
                return
            self._step(until)

    def _step(self, until):
        """Waits for the next thing to happen, or until that moment, and takes in what came."""
        waits = [self.live.due_in(), max(0.0, until - time.monotonic())]
        events = self.selector.select(min(wait for wait in waits if wait is not None))
        for key, _ in events:
            if key.data == "connection":
                self._hear_connection()
            elif key.data == "control":
                self._hear_kernel()
            else:
                self._hear_output(key.fd, key.data)
        try:
            self.live.flush()
        except OSError:
            self.live.is_on = False
        return bool(events)

    def _hear_connection(self):
        """Whoever asked says nothing more: this is the end of the call."""
        self.selector.unregister(self.connection)
        self.live.is_on = False
        if self.interrupted_at is None and not self.is_done:
            self._interrupt()

    def _hear_output(self, fd, name):
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return
        if data == b"":
            self.selector.unregister(fd)
            self.captures[name].is_over = True
            return
        self.live.feed(self.captures[name].feed(data))

    def _hear_kernel(self):
        messages = self.kernel.read_messages()
        if messages is None:
            self.selector.unregister(self.kernel.control)
            self._lose_kernel("ContextCrashed", f"{self._describe_end()} is fresh on the next run.")
            return
        for message in messages:
            if "result" in message:
                self._keep(message["result"])
            elif message.get("begun") == self.mark:
                self.has_begun = True
                if self.interrupted_at is not None:
                    self._tell_kernel()
            elif message.get("done") == self.mark:
                self._end(message["error"])

    def _describe_end(self):
        end = self.kernel.describe_end()
        if end == "SIGKILL" and count_kills() > self.kills_before:
            return f"{OUT_OF_MEMORY}. The context"
        return f"The context's process ended ({end}); it"

    def _keep(self, forms):
        self.result_chars += sum(len(value) for value in forms.values())
        if self.result_chars <= MAX_RESULT_CHARS:
            self.results.append(forms)
        elif self.results[-1:] != [TOO_MUCH]:
            self.results.append(TOO_MUCH)

    def _end(self, error):
        self.is_done = True
        self.error = error
        was_interrupted = self.interrupted_at is not None and error is not None
        if was_interrupted and error["name"] in ("KeyboardInterrupt", "Interrupted"):
            ran = f"The code was still running after {self.timeout_seconds:g} s and was interrupted"
            self.error = error | {"name": "Interrupted", "message": f"{ran}; the context keeps its state."}

    def _interrupt(self):
        self.interrupted_at = time.monotonic()
        # Before that a kernel does not hear a signal.
        if self.has_begun or not self.kernel.is_told_by_signal:
            self._tell_kernel()

    def _tell_kernel(self):
        try:
            self.kernel.interrupt()
        except OSError:
            pass  # It has just ended, and is heard to.

    def _lose_kernel(self, name, message):
        self.is_done = self.is_kernel_lost = True
        kill_descendants(os.getpid())
        self.error = {"name": name, "message": message, "traceback": ""}
