"""What the driver asks for, whether it still does, and where the guest keeps what it has to remember."""

import json
import os
import socket

#: On the disk: what may be large, and whether the disk was restored. Gone when the container sleeps, as is the other.
STATE = "/var/lib/pincer"


def _memory():
    """In memory, where there is any to write to. /dev/shm comes second: programs fill it."""
    disk = os.stat("/").st_dev
    for folder in ("/dev", "/dev/shm"):
        if os.access(folder, os.W_OK) and os.stat(folder).st_dev != disk:
            return os.path.join(folder, "pincer")
    return os.path.join(STATE, "facts")


#: The small facts without which no call is answered, so that a full disk stops none. Only root may look inside.
MEMORY = _memory()


def files_are_mounted(request):
    """
    A container that woke from sleep has an empty disk and no mount; the driver mounts and asks again. What is left of
    a mount whose s3fs died is cleared away, else nothing could be mounted there.
    """
    path = request.get("filesAt")
    if path is None or os.path.ismount(path):
        return True
    try:
        os.lstat(path)
    except FileNotFoundError:
        pass
    except OSError:
        os.spawnlp(os.P_WAIT, "fusermount", "fusermount", "-uz", path)
    return False


def has_left(connection):
    """Whether who asked over it has closed it: nothing is to begin for them any more."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def refusal(code, message):
    """A frame that becomes an error with these words."""
    return {"refused": {"code": code, "message": message}}


def write_json(path, value):
    """Renamed into place, so that nobody reads half of it."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(value, file)
    os.rename(f"{path}.new", path)
