"""
Waits for what a command writes, for something that listens on a port, or for the command's end, and says what came
after the reader's cursors.
"""

import time

from calls import sign_in, sign_out
from output import LIVE_BYTES, UTF8_MAX_BYTES, Live, cut, emit
from pattern import BadPattern, Pattern
from ports import is_listened_on
from records import facts, output_of
from request import refusal
from spool import character_start, kept_from, read, size_of

POLL_SECONDS = 0.02
#: Output that pauses for so long has come to a stop.
PAUSE_SECONDS = 0.25
#: A server that is gone sooner has only tried whether the port is free, as Vite does first; on a busy machine that takes its time.
STAYS_SECONDS = 0.25


class Reader:
    def __init__(self, request):
        self.request = request
        self.paths = {name: output_of(request["processId"], name) for name in ("stdout", "stderr")}
        self.starts = {name: character_start(path, request["after"][name]) for name, path in self.paths.items()}
        self.live = Live(emit)
        self.told = dict(self.starts)
        self.sizes = {}
        self.grew_at = time.monotonic()
        self.listened_on_since = None
        self.is_reached = self._goal(request.get("until"))

    def wait(self):
        deadline = time.monotonic() + self.request["waitMs"] / 1000
        while True:
            began_at = time.monotonic()
            found = facts(self.request["processId"])
            self._look()
            is_over = found is None or not found["isRunning"] or time.monotonic() >= deadline
            if self.is_reached(found, is_over):
                return found, True
            if is_over:
                return found, False
            time.sleep(max(POLL_SECONDS, time.monotonic() - began_at))  # At most half the time is for looking.

    def outputs(self, is_over):
        return {name: self._output(name, is_over) for name in self.paths}

    def _goal(self, until):
        if until is None:
            return lambda _, is_over: self._has_output() and (is_over or self._has_paused())
        if until == "output":
            return lambda *_: self._has_output()
        if until == "end":
            return lambda found, _: found is not None and not found["isRunning"]
        if "port" in until:
            return lambda _, is_over: self._is_served(until["port"], is_over)
        pattern = Pattern(until["pattern"], {self.paths[name]: start for name, start in self.starts.items()})
        return lambda *_: pattern.is_found()

    def _look(self):
        sizes = {name: size_of(path) for name, path in self.paths.items()}
        if sizes != self.sizes:
            self.grew_at = time.monotonic()
        self.sizes = sizes
        for name, size in sizes.items():
            if size > self.told[name]:
                self.live.feed(read(self.paths[name], max(self.told[name], size - LIVE_BYTES), size))
                self.told[name] = size
        self.live.flush()

    def _has_output(self):
        return any(size > self.request["after"][name] for name, size in self.sizes.items())

    def _has_paused(self):
        return time.monotonic() - self.grew_at >= PAUSE_SECONDS

    def _is_served(self, port, is_over):
        now = time.monotonic()
        if not is_listened_on(port):
            self.listened_on_since = None
            return False
        if self.listened_on_since is None:
            self.listened_on_since = now
        return is_over or now - self.listened_on_since >= STAYS_SECONDS

    def _output(self, name, is_over):
        path, start, end = self.paths[name], self.starts[name], self.sizes[name]
        limit = self.request["maxChars"] * UTF8_MAX_BYTES
        head = read(path, start, min(end, start + limit))
        tail = read(path, max(start, end - limit, kept_from(path)), end)
        return cut(head, tail, max(0, end - start), self.request["maxChars"], is_over) | {"totalBytes": end}


def main(request):
    missing = refusal("not_found", "There is no such process; list the processes to see which there are.")
    if facts(request["processId"]) is None:
        return missing
    sign_in(request["id"])
    try:
        reader = Reader(request)
        found, is_reached = reader.wait()
        if found is None:
            return missing
        return {"result": found | reader.outputs(not found["isRunning"]) | {"isReached": is_reached}}
    except BadPattern as bad:
        return refusal("invalid_input", str(bad))
    finally:
        sign_out(request["id"])

