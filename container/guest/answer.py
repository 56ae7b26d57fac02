"""Answers requests of the driver in a process of its own: runs the program that each names, whose frames go back."""

import gc
import hmac
import importlib
import json
import os
import resource
import signal
import socket
import struct
import traceback

from output import emit, fall_silent, write_whole
from request import has_left

PROGRAMS = {
    name: importlib.import_module(name).main
    for name in ("context", "contexts", "files", "list", "read", "run", "status", "stop", "tell")
}
MAX_HEAD_BYTES = 64 * 1024
READ_BYTES = 256 * 1024
#: Nobody may hold up a process by sending nothing, nor a command's watcher by not reading.
SILENCE_SECONDS = 10
#: A process that has needed more gives it back by ending.
MAX_KEPT_KILOBYTES = 64 * 1024


def answer_head(status):
    """The body ends with the connection. The name tells our answers from those of whatever else has the port."""
    return f"HTTP/1.1 {status}\r\nServer: pincer\r\nConnection: close\r\n\r\n".encode("ascii")


def work(server, secret):
    """
    Answers one connection after another as they come over the socket `server`, and says there when it is free. One that
    has answered before is several times as fast as one that was just forked, whose memory is still copied page by page.
    """
    while True:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # What stops a call may come when that has ended, and this process is at work for the next.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _, fds, _, _ = socket.recv_fds(server, 1, 1)
        if not fds or not _answer(socket.socket(fileno=fds[0]), secret):
            return
        if _has_children() or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > MAX_KEPT_KILOBYTES:
            return
        os.chdir("/")
        gc.collect()  # Closes what is still open.
        server.send(b"f")


def _answer(connection, secret):
    """Whether all went well, so that nothing is left of it in this process."""
    timeout = struct.pack("ll", SILENCE_SECONDS, 0)
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        name, told_secret, body = _read_call(connection)
    except (OSError, EOFError, ValueError, IndexError):
        return False
    if not hmac.compare_digest(told_secret.encode("latin-1"), secret):
        connection.sendall(answer_head("403 Forbidden"))
        return False
    if has_left(connection):
        return False  # They have waited too long for a process that is free, and ask again or have given up.
    os.dup2(connection.fileno(), 1)
    connection.close()  # The program lets go of its standard output when nobody waits any more.
    try:
        write_whole(answer_head("200 OK"))
        frame = PROGRAMS[name](json.loads(body))
        if frame is not None:
            emit(frame)
    except Exception:
        emit({"failed": traceback.format_exc()[-2_000:]})
        return False
    fall_silent()
    return True


def _read_call(connection):
    """What was asked for, who says so, and the body. All of it is read, else the answer would be lost in a reset."""
    held = b""
    while b"\r\n\r\n" not in held:
        if len(held) > MAX_HEAD_BYTES:
            raise ValueError("The head is too long.")
        held += _receive(connection)
    head, _, rest = held.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    missing = int(headers.get("content-length", "0")) - len(rest)
    pieces = [rest]
    while missing > 0:
        pieces.append(_receive(connection))
        missing -= len(pieces[-1])
    return first.split(" ")[1].removeprefix("/"), headers.get("authorization", ""), b"".join(pieces)


def _receive(connection):
    data = connection.recv(READ_BYTES)
    if data == b"":
        raise EOFError
    return data


def _has_children():
    """A daemon that a command left behind, or a context's host: neither may become another command's."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True
