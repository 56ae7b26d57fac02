"""Looks at a file, reads a part of it as base64, or puts parts together to one. The driver asks one thing a time."""

import base64
import os
import stat

from output import emit
from request import files_are_mounted, read_request


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
        os.replace(draft, path)
    finally:
        for leftover in (draft, *request["parts"]):
            if os.path.exists(leftover):
                os.unlink(leftover)
    return {}


def main():
    request = read_request()
    if not files_are_mounted(request):
        return {"unmounted": True}
    try:
        return {"result": {"look": look, "slice": read_slice, "join": join}[request["do"]](request)}
    except OSError as error:
        message = f"{request['path']}: {error.strerror}; choose another path."
        return {"refused": {"code": "invalid_input", "message": message}}


if __name__ == "__main__":
    emit(main())
