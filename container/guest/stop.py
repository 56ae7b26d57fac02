"""Ends one run: whoever watches over it kills what it started."""

import os
import signal
import time

from request import COMMANDS, read_request

#: A run that was cancelled as it began has not said yet who it is.
APPEARS_WITHIN_SECONDS = 2.0


def main():
    path = os.path.join(COMMANDS, read_request()["id"], "pid")
    deadline = time.monotonic() + APPEARS_WITHIN_SECONDS
    while time.monotonic() < deadline:
        try:
            with open(path) as pid:
                os.kill(int(pid.read()), signal.SIGTERM)
            return
        except (FileNotFoundError, ValueError):
            time.sleep(0.02)
        except ProcessLookupError:
            return


if __name__ == "__main__":
    main()
