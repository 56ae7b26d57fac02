"""What the driver asks for, and where the guest keeps its state."""

import json
import os

#: Only root may look inside; it is gone when the container sleeps.
STATE = os.environ.get("PINCER_STATE", "/var/lib/pincer")


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
    """A container that woke from sleep has an empty disk and no mount; the driver mounts and asks again."""
    return request.get("filesAt") is None or os.path.ismount(request["filesAt"])
