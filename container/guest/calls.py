"""Who is at work for a call: a program writes down which process it is, so that another one can find and end it."""

import os
import signal
import sys

from request import STATE

CALLS = os.path.join(STATE, "calls")


def identity(pid):
    """A process by number and start: the number alone may have gone to another one since. Empty where it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == b"Z" else f"{pid} {fields[19].decode()}"


def sign_in(call_id):
    os.makedirs(CALLS, mode=0o700, exist_ok=True)
    path = os.path.join(CALLS, call_id)
    with open(f"{path}.new", "w") as file:
        file.write(identity(os.getpid()))
    os.rename(f"{path}.new", path)


def sign_out(call_id):
    try:
        os.unlink(os.path.join(CALLS, call_id))
    except FileNotFoundError:
        pass


def leave_on_sigterm():
    """A program that is ended signs out like one that comes to its end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def pid_at_work(call_id):
    """Nothing where nobody has signed in, or whoever did has ended."""
    try:
        with open(os.path.join(CALLS, call_id)) as file:
            written = file.read()
    except OSError:
        return None
    pid = written.partition(" ")[0]
    return int(pid) if written != "" and identity(pid) == written else None


def is_anybody_at_work():
    return os.path.isdir(CALLS) and any(pid_at_work(call_id) is not None for call_id in os.listdir(CALLS))
