"""
Answers the driver. Each request is a connection, for which this forks: the child has every program loaded already, runs
the one that the request names with the connection as its standard output, and goes on alone where a command does. This
process itself reads nothing and keeps nothing, so that nothing which is sent can break it.

Whatever runs in the container can connect as well. It belongs to the same caller, so the secret only keeps out programs
that are confused, and what shares a developer's own network.
"""

import errno
import gc
import hmac
import importlib
import json
import os
import signal
import socket
import struct
import sys
import traceback

from output import emit, write_whole
from processes import set_oom_score

PROGRAMS = {
    name: importlib.import_module(name).main
    for name in ("context", "contexts", "files", "list", "read", "run", "status", "stop", "tell")
}
MAX_HEAD_BYTES = 64 * 1024
READ_BYTES = 256 * 1024
#: Nobody may keep a child by sending nothing, nor a command's watcher by not reading.
SILENCE_SECONDS = 10
#: Connections that wait for their fork.
BACKLOG = 1024


def answer_head(status):
    """The body ends with the connection. The name tells our answers from those of whatever else has the port."""
    return f"HTTP/1.1 {status}\r\nServer: pincer\r\nConnection: close\r\n\r\n".encode("ascii")


def read_call(connection):
    """What was asked for, who says so, and the body. All of it is read, else the answer would be lost in a reset."""
    held = b""
    while b"\r\n\r\n" not in held:
        if len(held) > MAX_HEAD_BYTES:
            raise ValueError("The head is too long.")
        held += receive(connection)
    head, _, rest = held.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    missing = int(headers.get("content-length", "0")) - len(rest)
    pieces = [rest]
    while missing > 0:
        pieces.append(receive(connection))
        missing -= len(pieces[-1])
    return first.split(" ")[1].removeprefix("/"), headers.get("authorization", ""), b"".join(pieces)


def receive(connection):
    data = connection.recv(READ_BYTES)
    if data == b"":
        raise EOFError
    return data


def answer(connection, secret):
    timeout = struct.pack("ll", SILENCE_SECONDS, 0)
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        name, told_secret, body = read_call(connection)
    except (OSError, EOFError, ValueError, IndexError):
        return
    if not hmac.compare_digest(told_secret.encode("latin-1"), secret):
        connection.sendall(answer_head("403 Forbidden"))
        return
    os.dup2(connection.fileno(), 1)
    connection.close()  # The program lets go of its standard output when nobody waits any more.
    try:
        write_whole(answer_head("200 OK"))
        frame = PROGRAMS[name](json.loads(body))
        if frame is not None:
            emit(frame)
    except Exception:
        emit({"failed": traceback.format_exc()[-2_000:]})


def become_child(listener):
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    listener.close()  # Else the port would stay taken when the server is killed.
    set_oom_score(0)


def serve(listener, secret):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # The kernel buries the children.
    set_oom_score(-900)  # Of all processes, the last to die when memory runs out.
    gc.collect()
    gc.freeze()  # Else a child's first collection would copy every page.
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            continue  # Whoever connected has gone.
        with connection:
            try:
                pid = os.fork()
            except OSError as error:
                refuse(connection, error)
                continue
            if pid == 0:
                try:
                    become_child(listener)
                    answer(connection, secret)
                finally:
                    os._exit(0)


def refuse(connection, error):
    try:
        connection.setblocking(False)
        connection.sendall(answer_head("503 Service Unavailable") + str(error).encode())
    except OSError:
        pass


def main():
    """Returns when somebody listens: who started this can connect."""
    secret = os.environ.pop("PINCER_SECRET").encode("latin-1")
    try:
        listener = socket.create_server(("0.0.0.0", int(sys.argv[1])), backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return  # Another one, or something that is not ours: its answer will tell.
        raise
    if os.fork() != 0:
        return
    os.setsid()
    os.chdir("/")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    serve(listener, secret)


if __name__ == "__main__":
    main()
