"""
Runs one command for the container driver and watches over it.

The SDK's own exec has no standard input, keeps all output in memory and kills by process group only; this keeps
memory flat and kills the whole tree. Frames leave on standard output, the last one being the result; it goes on when
nobody reads any more.
"""

import os
import selectors
import signal
import time

from calls import forget_killed, is_stopped, sign_in, sign_out
from command import open_script, start_command
from control import Control
from out_of_memory import count_kills
from output import Capture, Live, emit, fall_silent
from processes import become_subreaper, kill_descendants, signal_name
from records import begin, finish, folder_of, forget, forget_oldest, losses, note_loss, output_of
from request import files_are_mounted, refusal
from spool import Spool
from standard_input import StandardInput

READ_BYTES = 256 * 1024
#: How long output of children is waited for when the command itself has ended.
DRAIN_SECONDS = 0.05
#: Reads of an output before its length is told: one that never pauses is not waited for.
DRAIN_READS = 16


class Run:
    def __init__(self, request):
        self.request = request
        self.is_internal = request.get("isInternal", False)
        begin(request["id"], request["command"], self.is_internal)
        self.captures = {name: Capture(request["maxChars"], self._spool(name)) for name in ("stdout", "stderr")}
        self.live = Live(emit)
        self.selector = selectors.DefaultSelector()
        self.open_outputs = {}
        self.started_at = time.monotonic()
        self.ended_at = None
        self.status = None
        self.has_timed_out = False
        self.kills_before = count_kills()
        self.has_run_out_of_memory = False

    def _spool(self, name):
        return Spool(output_of(self.request["id"], name), lambda: note_loss(self.request["id"]))

    def start(self):
        kind = self.request.get("input", "closed")
        self.script = open_script(self.request["command"])
        self.pid, stdin, outputs = start_command(self.request, self.script, kind)
        for name, fd in outputs.items():
            self._hear(name, fd)
        self.input = StandardInput(self.selector, stdin, kind, self.request.get("stdin", ""))
        self.control = Control(self.selector, folder_of(self.request["id"]), self._answer)

    def _hear(self, name, fd):
        self.open_outputs[name] = fd
        self.selector.register(fd, selectors.EVENT_READ, lambda _: self._read(name))

    def watch(self):
        """Emits the result when the command ends or the wait is over, and stays until both have happened."""
        wakeup, wakeup_writer = os.pipe()
        for fd in (wakeup, wakeup_writer):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wakeup_writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.selector.register(wakeup, selectors.EVENT_READ, lambda fd: os.read(fd, 4096))
        wait_until = self.started_at + self._wait_seconds()
        time_out_at = self.started_at + self.request["timeoutMs"] / 1000
        if is_stopped(self.request["id"]):  # Perhaps before there was anything to kill.
            kill_descendants(os.getpid())
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
        self._finish()
        while self.open_outputs:  # A server that the command left behind still writes.
            self._step(None)
        signal.set_wakeup_fd(-1)
        for fd in (wakeup, wakeup_writer):
            os.close(fd)
        self.selector.close()

    def _finish(self):
        # On a busy machine the time for it may be over before the first look: what the command wrote is there by its end.
        self._drain()
        self.control.close()
        self.input.close()
        finish(self.request["id"], self._facts())
        sign_out(self.request["id"])
        if self.live.is_on:
            self._report()
        if self.is_internal:
            forget(self.request["id"])
        forget_oldest(sum(capture.total_bytes for capture in self.captures.values()))
        forget_killed()

    def _wait_seconds(self):
        """The caller waits since its call, of which a start of the container may have taken a part."""
        left = self.request.get("answerByMs", float("inf")) / 1000 - time.time()
        return max(0.0, min(self.request["waitMs"] / 1000, left))

    def _is_over(self):
        if self.status is None:
            return False
        return not self.open_outputs or time.monotonic() > self.ended_at + DRAIN_SECONDS

    def _step(self, until):
        """Waits for the next thing to happen, or until that moment, and takes in what came."""
        waits = [self.live.due_in(), None if until is None else max(0.0, until - time.monotonic())]
        waits = [wait for wait in waits if wait is not None]
        for key, _ in self.selector.select(min(waits) if waits else None):
            if self.selector.get_map().get(key.fd) is key:  # Else what came before has closed it.
                key.data(key.fd)
        self._reap()
        self.live.flush()

    def _read(self, name):
        """Whether something came."""
        fd = self.open_outputs[name]
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:  # The last process at a terminal has left it.
            data = b""
        if data == b"":
            self.selector.unregister(fd)
            os.close(fd)
            del self.open_outputs[name]
            return False
        self.captures[name].feed(data)
        self.live.feed(data)
        return True

    def _drain(self):
        """Takes in what is there already. An output that never pauses is not waited for."""
        for name in list(self.open_outputs):
            for _ in range(DRAIN_READS):
                if name not in self.open_outputs or not self._read(name):
                    break

    def _answer(self, request):
        """Takes input or a signal, and says where the outputs were before."""
        self._reap()
        if self.status is not None:
            return refusal("conflict", "The process has ended; start it anew to go on.")
        self._drain()
        before = {name: capture.total_bytes for name, capture in self.captures.items()}
        if request["do"] == "signal":
            self._send(signal.Signals[request["signal"]])
            return {"result": before}
        refused = self.input.add(request["text"], request["isEnd"])
        return {"result": before} if refused is None else refusal(*refused)

    def _send(self, number):
        if number == signal.SIGKILL:
            kill_descendants(os.getpid())
        else:
            os.killpg(self.pid, number)  # Not reaped yet, so that nobody else has its number.

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
                # Perhaps a process beside it, and bash ended as if all were well.
                self.has_run_out_of_memory = count_kills() > self.kills_before

    def _report(self):
        outputs = {name: capture.snapshot() for name, capture in self.captures.items()}
        emit({"result": self._facts() | outputs})
        fall_silent()
        self.live.is_on = False

    def _facts(self):
        facts = {
            "isRunning": self.status is None,
            "hasTimedOut": self.has_timed_out,
            "durationMs": round(1000 * ((self.ended_at or time.monotonic()) - self.started_at)),
        }
        if self.status is not None:
            code = os.waitstatus_to_exitcode(self.status)
            facts["exitCode"] = code if code >= 0 else 128 - code
            if code < 0:
                facts["signal"] = signal_name(self.status)
            if self.has_run_out_of_memory:
                facts["hasRunOutOfMemory"] = True
        return facts | losses(self.request["id"])


def main(request):
    if not files_are_mounted(request):
        return {"unmounted": True}
    if not os.path.isdir(request["cwd"]):
        return refusal("invalid_input", f"There is no folder {request['cwd']}; make it first.")
    become_subreaper()
    sign_in(request["id"], end=lambda: kill_descendants(os.getpid()))
    run = Run(request)
    run.start()
    run.watch()
    return None

