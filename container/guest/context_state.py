"""What is to be seen of the code contexts from outside: each has a folder with its host's socket and these files."""

import fcntl
import os

from calls import identity
from request import MEMORY

CONTEXTS = os.path.join(MEMORY, "contexts")
#: Memory is what bounds them: whose run dies of its lack is told that it ended, and why where that can be seen.
MAX_CONTEXTS = 64
#: Locked by the host as long as code runs.
BUSY = "busy"
#: Which process holds the state; absent where none does.
KERNEL = "kernel"


def folder_of(language, name):
    return os.path.join(CONTEXTS, f"{language}-{name}")


class Busy:
    """The lock ends with the host that holds it, however that ends."""

    def __init__(self, folder):
        self._file = open(os.path.join(folder, BUSY), "w")

    def __enter__(self):
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        fcntl.flock(self._file, fcntl.LOCK_UN)


def remember_kernel(folder, pid):
    with open(os.path.join(folder, KERNEL), "w") as file:
        file.write(identity(pid))


def forget_kernel(folder):
    try:
        os.unlink(os.path.join(folder, KERNEL))
    except FileNotFoundError:
        pass


def is_busy(folder):
    try:
        with open(os.path.join(folder, BUSY)) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def has_kernel(folder):
    try:
        with open(os.path.join(folder, KERNEL)) as file:
            written = file.read()
    except FileNotFoundError:
        return False
    return written != "" and identity(written.partition(" ")[0]) == written
