"""Ends the program that is at work for a call: whoever watches over a command kills what it started."""

import os
import signal
import time

from calls import pid_at_work

#: One that was cancelled as it began has not said yet who it is.
APPEARS_WITHIN_SECONDS = 2.0


def main(request):
    deadline = time.monotonic() + APPEARS_WITHIN_SECONDS
    while time.monotonic() < deadline:
        pid = pid_at_work(request["id"])
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            return
        time.sleep(0.02)

