"""Who is at work for a call: a program writes down which process it is, so that another one can find and end it."""

import os
import signal
import sys

from request import MEMORY

CALLS = os.path.join(MEMORY, "calls")
#: Added to what a program wrote down: it is this call that is to end.
STOP = "\nstop"
#: Beyond so many, those go whose program was killed before it could sign out.
MAX_CALLS = 200


def identity(pid):
    """A process by number and start: the number alone may have gone to another one since. Empty where it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == b"Z" else f"{pid} {fields[19].decode()}"


def sign_in(call_id, end=lambda: sys.exit(128 + signal.SIGTERM)):
    """From now on the call may be stopped: `end` is called then, between any two steps of the program."""
    signal.signal(signal.SIGTERM, lambda *_: end() if is_stopped(call_id) else None)
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


def forget_killed():
    call_ids = [name for name in os.listdir(CALLS) if not name.endswith(".new")]
    for call_id in call_ids if len(call_ids) > MAX_CALLS else []:
        if pid_at_work(call_id) is None:
            sign_out(call_id)


def stop(call_id):
    """
    Whether somebody was at work for it. That is written down first: the same process may be at work for another call
    by the time that the signal comes.
    """
    try:
        with open(os.path.join(CALLS, call_id), "r+") as file:
            pid = _pid_of(file.read())
            if pid is None:
                return False
            file.write(STOP)
        os.kill(pid, signal.SIGTERM)
    except OSError:
        return False  # It has just ended.
    return True


def is_stopped(call_id):
    return _read(call_id).endswith(STOP)


def has_signed_in(call_id):
    """Whether somebody was at work for it who has not signed out, be it by being killed."""
    return os.path.exists(os.path.join(CALLS, call_id))


def pid_at_work(call_id):
    """Nothing where nobody has signed in, or whoever did has ended."""
    return _pid_of(_read(call_id))


def is_anybody_at_work():
    return os.path.isdir(CALLS) and any(pid_at_work(call_id) is not None for call_id in os.listdir(CALLS))


def _read(call_id):
    try:
        with open(os.path.join(CALLS, call_id)) as file:
            return file.read()
    except OSError:
        return ""


def _pid_of(written):
    said = written.partition("\n")[0]
    pid = said.partition(" ")[0]
    return int(pid) if said != "" and identity(pid) == said else None
