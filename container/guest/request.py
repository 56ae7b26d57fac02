"""What the driver asks for, and where the guest keeps its state."""

import json
import os

#: Only root may look inside; it is gone when the container sleeps.
STATE = os.environ.get("PINCER_STATE", "/var/lib/pincer")
COMMANDS = os.path.join(STATE, "commands")
#: Two outputs of at most 64 MB each; the container's disk has 8 GB.
MAX_KEPT_COMMANDS = 30


def read_request():
    """The request comes in the environment, or in a file where it is too long for that."""
    path = os.environ.get("PINCER_REQUEST_FILE")
    if path is None:
        return json.loads(os.environ["PINCER_REQUEST"])
    with open(path, encoding="utf-8") as file:
        request = json.load(file)
    os.unlink(path)
    return request


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


def sign_in(request_id):
    """Makes the folder of a run, which says whom to signal, and lets the oldest ended ones go."""
    folder = os.path.join(COMMANDS, request_id)
    os.makedirs(folder, mode=0o700)
    with open(os.path.join(folder, "pid"), "w") as pid:
        pid.write(str(os.getpid()))
    kept = sorted(os.scandir(COMMANDS), key=lambda entry: entry.stat().st_mtime, reverse=True)
    for entry in kept[MAX_KEPT_COMMANDS:]:
        if os.path.exists(os.path.join(entry.path, "result.json")):
            remove_folder(entry.path)
    return folder


def remove_folder(path):
    import shutil  # Takes as long to load as all else that a run needs.

    shutil.rmtree(path, ignore_errors=True)
