"""Ends with 0 while a command runs that somebody may still ask for, and with 1 where the container may sleep."""

import os
import sys

from request import COMMANDS


def is_running(folder):
    if os.path.exists(os.path.join(folder, "result.json")):
        return False
    try:
        with open(os.path.join(folder, "pid")) as pid:
            os.kill(int(pid.read()), 0)
    except (OSError, ValueError):
        return False
    return True


def main():
    folders = [entry.path for entry in os.scandir(COMMANDS)] if os.path.isdir(COMMANDS) else []
    return 0 if any(is_running(folder) for folder in folders) else 1


if __name__ == "__main__":
    sys.exit(main())
