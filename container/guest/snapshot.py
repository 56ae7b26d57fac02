"""
The workspace as one stream to the driver, and back; snapshot.sh packs and unpacks it, with all of it never in memory.
"""

import json
import os
import signal
import socket
import struct
import subprocess

from output import encode
from processes import has_callers, widen
from request import refusal
from workspace import Restoring, is_restored

SCRIPT = ["/bin/bash", "/opt/pincer/snapshot.sh"]
DAMAGED, NO_TAR = 3, 4
CHUNK_BYTES = 256 * 1024
#: The bucket at the other end may take its time.
SILENCE_SECONDS = 300
ALREADY = refusal("conflict", "The sandbox is restored already.")
UNRESTORED = {"result": {"state": "unrestored"}}


class Script:
    """One run of snapshot.sh, which ends with its whole group."""

    def __init__(self, what, **streams):
        command = [*SCRIPT, what] if what == "restore" else ["/usr/bin/nice", "-n", "10", *SCRIPT, what]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, start_new_session=True, **(quiet | streams))

        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                widen(pipe)

    def __enter__(self):
        return self.process

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def look(_):
    if not is_restored():
        return UNRESTORED
    is_busy = has_callers()
    with Script("look") as process:
        seen, _ = process.communicate()
    if process.returncode == NO_TAR:
        return {"result": {"state": "unable", "reason": "Snapshots of the workspace need GNU tar in the image."}}
    if process.returncode != 0:
        return {"failed": f"snapshot.sh look ended with {process.returncode}."}
    return {"result": {"state": "ready", "isBusy": is_busy} | json.loads(seen)}


def begin(request):
    """Whether a snapshot may come. Where there is none, the workspace begins as it is."""
    with Restoring() as restoring:
        if restoring.is_over:
            return ALREADY
        if request["hasSnapshot"]:
            return UNRESTORED
        restoring.begin(is_filled=False)
        restoring.finish()
    return {"result": {"state": "restored"}}


def save(connection, answer_head):
    """The answer's body ends as one in chunks does only where it is whole."""
    _be_patient(connection)
    if not is_restored():
        connection.sendall(answer_head("409 Conflict"))
        return
    connection.sendall(answer_head("200 OK", "Transfer-Encoding: chunked"))
    with Script("save") as process:
        while chunk := process.stdout.read1(CHUNK_BYTES):
            connection.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        if process.wait() == 0:
            connection.sendall(b"0\r\n\r\n")


def restore(connection, answer_head, size, first):
    """Takes `size` bytes, of which `first` has come with the head. Where not all of them come, nothing is answered."""
    _be_patient(connection)
    with Restoring() as restoring:
        if restoring.is_over:
            frame = ALREADY
        else:
            restoring.begin(is_filled=True)
            frame = _fill(connection, size, first)
            if frame["result"]["state"] == "restored":
                restoring.finish()
    connection.sendall(answer_head("200 OK") + encode(frame))


def _fill(connection, size, first):
    with Script("restore", stdin=subprocess.PIPE) as process:
        missing = size - len(first)
        _feed(process.stdin, first)
        while missing > 0:
            data = connection.recv(min(CHUNK_BYTES, missing))
            if data == b"":
                raise EOFError
            missing -= len(data)
            _feed(process.stdin, data)
        _feed(process.stdin, None)
        said = process.stdout.read()
        code = process.wait()
    if code == DAMAGED:
        return {"result": {"state": "damaged"}}
    if code != 0:
        raise RuntimeError(f"snapshot.sh restore ended with {code}.")
    return {"result": {"state": "restored", "fingerprint": json.loads(said)["fingerprint"]}}


def _feed(pipe, data):
    """What has given up is not fed any more: how it ends tells why. What still comes for it has to be read all the same."""
    try:
        if data is None:
            pipe.close()
        else:
            pipe.write(data)
            pipe.flush()
    except (BrokenPipeError, ValueError):
        pass


def _be_patient(connection):
    timeout = struct.pack("ll", SILENCE_SECONDS, 0)
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, timeout)
