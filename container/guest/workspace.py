"""
Whether /workspace is what its caller left there. A container's disk is fresh after each sleep: until it has been
restored nothing may run on it or look at it. Half a restore is none.
"""

import fcntl
import os
import shutil

from request import STATE

WORKSPACE = "/workspace"
#: The caller's files have a place of their own.
MOUNT = "files"
RESTORED = os.path.join(STATE, "restored")
#: Becomes the one above, so that there is no moment at which neither tells.
HALF = os.path.join(STATE, "restoring")


def is_restored():
    return os.path.exists(RESTORED)


class Restoring:
    """Has the workspace for itself until it ends; only with `finish` it counts as restored."""

    def __enter__(self):
        os.makedirs(STATE, mode=0o700, exist_ok=True)
        self._lock = open(f"{HALF}.lock", "w", encoding="ascii")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.is_over = is_restored()  # Somebody else was first.
        return self

    def __exit__(self, *_):
        self._lock.close()

    def begin(self, is_filled):
        """What is to be filled is emptied first, and so is what half a restore has left."""
        is_half = os.path.exists(HALF)
        with open(HALF, "w", encoding="ascii"):
            pass
        if is_filled or is_half:
            _empty()

    def finish(self):
        os.rename(HALF, RESTORED)


def _empty():
    with os.scandir(WORKSPACE) as entries:
        for entry in entries:
            if entry.name == MOUNT:
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
