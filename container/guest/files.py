"""Looks at a file, reads a part of it, keeps a part or puts parts together to one. Bytes come and go as base64."""

import base64
import fcntl
import hashlib
import os
import stat

from request import STATE, files_are_mounted, refusal


class Changed(Exception):
    """The file holds something else than what was to be replaced."""


def look(request):
    try:
        info = os.stat(request["path"])
    except (FileNotFoundError, NotADirectoryError):
        return {"kind": "none", "sizeBytes": 0}
    return {"kind": "file" if stat.S_ISREG(info.st_mode) else "other", "sizeBytes": info.st_size}


def read_slice(request):
    with open(request["path"], "rb") as file:
        file.seek(request["offset"])
        return base64.b64encode(file.read(request["length"])).decode("ascii")


def keep(request):
    os.makedirs(os.path.dirname(request["path"]), mode=0o700, exist_ok=True)
    with open(request["path"], "wb") as part:
        part.write(base64.b64decode(request["base64"]))
    return {}


def join(request):
    """Beside the file first and then renamed, so that nobody sees half of it."""
    path = os.path.realpath(request["path"])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    draft = f"{path}.{request['id']}.part"
    try:
        with open(draft, "wb") as whole:
            for part in request["parts"]:
                with open(part, "rb") as piece:
                    while chunk := piece.read(1024 * 1024):
                        whole.write(chunk)
            whole.write(base64.b64decode(request["base64"]))
        if os.path.isfile(path):
            os.chmod(draft, stat.S_IMODE(os.stat(path).st_mode))
        os.makedirs(STATE, mode=0o700, exist_ok=True)
        # Writers that compare wait for each other; whatever else writes to the file is not asked.
        with open(os.path.join(STATE, "files.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if request.get("replaces", "") not in ("", digest(path)):
                raise Changed
            os.replace(draft, path)
    finally:
        for leftover in (draft, *request["parts"]):
            if os.path.exists(leftover):
                os.unlink(leftover)
    return {}


def digest(path):
    """SHA-256 in hex, or nothing where there is no file."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, IsADirectoryError):
        return None


def main(request):
    if not files_are_mounted(request):
        return {"unmounted": True}
    try:
        return {"result": {"look": look, "slice": read_slice, "keep": keep, "join": join}[request["do"]](request)}
    except Changed:
        return refusal("conflict", f"{request['path']} holds something else by now; read it again, then change it.")
    except OSError as error:
        return refusal("invalid_input", f"{request['path']}: {error.strerror}; choose another path.")

