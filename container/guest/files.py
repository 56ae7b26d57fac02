"""Looks at a file, reads a part of it, keeps a part or puts parts together to one. Bytes come and go as base64."""

import base64
import errno
import fcntl
import hashlib
import os
import stat

from request import MEMORY, files_are_mounted, refusal


class Changed(Exception):
    """The file holds something else than what was to be replaced."""


def look(request):
    try:
        info = os.stat(request["path"])
    except (FileNotFoundError, NotADirectoryError):
        return {"kind": "none", "sizeBytes": 0}
    return {"kind": "file" if stat.S_ISREG(info.st_mode) else "other", "sizeBytes": info.st_size}


def read_slice(request):
    # Some files of /proc would be waited on for ever.
    with open(request["path"], "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
        file.seek(request["offset"])
        return base64.b64encode(file.read(request["length"]) or b"").decode("ascii")


def keep(request):
    """The last of the parts; all of them go where there is no room for it."""
    path = request["parts"][-1]
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path, "wb") as part:
            part.write(base64.b64decode(request["base64"]))
    except OSError:
        remove(request["parts"])
        raise
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
        # Writers that compare wait for each other; whatever else writes to the file is not asked.
        with open(os.path.join(MEMORY, "files.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if request.get("replaces", "") not in ("", digest(path)):
                raise Changed
            os.replace(draft, path)
    finally:
        remove((draft, *request["parts"]))
    return {}


def remove(paths):
    for path in paths:
        if os.path.exists(path):
            os.unlink(path)


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
        return explain(request["path"], error)


def explain(path, error):
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return refusal("limit_reached", f"There is no room for {path}; delete files first.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return refusal("forbidden", f"The sandbox does not allow {path}; use a path below /workspace.")
    return refusal("invalid_input", f"{path}: {error.strerror}; choose another path.")
