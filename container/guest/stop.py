"""Ends the program that is at work for a call: whoever watches over a command kills what it started."""

import time

from calls import stop

#: One that was cancelled as it began has not said yet who it is.
APPEARS_WITHIN_SECONDS = 2.0


def main(request):
    deadline = time.monotonic() + APPEARS_WITHIN_SECONDS
    while time.monotonic() < deadline and not stop(request["id"]):
        time.sleep(0.02)
