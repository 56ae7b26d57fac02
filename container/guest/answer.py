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

import snapshot
from output import emit, fall_silent, write_whole
from request import has_left
from workspace import is_restored

PROGRAMS = {
    name: importlib.import_module(name).main
    for name in ("context", "contexts", "files", "list", "port", "read", "run", "status", "stop", "tell")
} | {"look": snapshot.look, "begin": snapshot.begin}
#: Those that run something in the workspace, or see or change what is in it.
NEED_WORKSPACE = {"context", "files", "run"}
MAX_HEAD_BYTES = 64 * 1024
READ_BYTES = 256 * 1024
#: Nobody may hold up a process by sending nothing, nor a command's watcher by not reading.
SILENCE_SECONDS = 10
#: A process that has needed more gives it back by ending.
MAX_KEPT_KILOBYTES = 64 * 1024


def answer_head(status, *more):
    """The body ends with the connection. The name tells our answers from those of whatever else has the port."""
    lines = (f"HTTP/1.1 {status}", "Server: pincer", "Connection: close", *more)
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


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
        name, headers, first = _read_head(connection)
        size = int(headers.get("content-length", "0"))
        body = first if name == "restore" else _read_body(connection, size, first)
    except (OSError, EOFError, ValueError, IndexError):
        return False
    if not hmac.compare_digest(headers.get("authorization", "").encode("latin-1"), secret):
        connection.sendall(answer_head("403 Forbidden"))
        return False
    if has_left(connection):
        return False  # They have waited too long for a process that is free, and ask again or have given up.
    if name in ("save", "restore"):
        _answer_stream(name, connection, size, first)
        return False
    os.dup2(connection.fileno(), 1)
    connection.close()  # The program lets go of its standard output when nobody waits any more.
    try:
        write_whole(answer_head("200 OK"))
        is_lost = name in NEED_WORKSPACE and not is_restored()
        frame = {"unrestored": True} if is_lost else PROGRAMS[name](json.loads(body))
        if frame is not None:
            emit(frame)
    except Exception:
        emit({"failed": traceback.format_exc()[-2_000:]})
        return False
    fall_silent()
    return True


def _answer_stream(name, connection, size, first):
    """Whatever breaks it breaks the connection, which tells that it is not whole."""
    with connection:
        try:
            if name == "save":
                snapshot.save(connection, answer_head)
            else:
                snapshot.restore(connection, answer_head, size, first)
        except Exception:
            pass


def _read_head(connection):
    """What was asked for, the headers, and what of the body has come with them."""
    held = b""
    while b"\r\n\r\n" not in held:
        if len(held) > MAX_HEAD_BYTES:
            raise ValueError("The head is too long.")
        held += _receive(connection)
    head, _, rest = held.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return first.split(" ")[1].removeprefix("/"), headers, rest


def _read_body(connection, size, first):
    """All of it, else the answer would be lost in a reset."""
    missing = size - len(first)
    pieces = [first]
    while missing > 0:
        pieces.append(_receive(connection))
        missing -= len(pieces[-1])
    return b"".join(pieces)


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
