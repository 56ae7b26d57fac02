"""Ends the program that is at work for a call: whoever watches over a command kills what it started."""

import os
import signal
import time

from calls import pid_at_work
from request import read_request

#: One that was cancelled as it began has not said yet who it is.
APPEARS_WITHIN_SECONDS = 2.0


def main():
    call_id = read_request()["id"]
    deadline = time.monotonic() + APPEARS_WITHIN_SECONDS
    while time.monotonic() < deadline:
        pid = pid_at_work(call_id)
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            return
        time.sleep(0.02)


if __name__ == "__main__":
    main()
