"""
Runs code in a named context for the container driver. A context is a kernel that keeps its state and a host that
watches over it; this program starts them where they are missing, asks, and passes the answer on.
"""

import fcntl
import os
import re
import signal
import socket

from calls import sign_in, sign_out
from context_host import ContextHost
from context_state import CONTEXTS, MAX_CONTEXTS, folder_of
from output import encode, write_whole
from request import MEMORY, files_are_mounted, refusal


#: More than a program that has just begun has open.
MAX_FDS = 256


def connect(language, name, cwd):
    """A connection to the context's host, which is started on first use; nothing where there are too many."""
    os.makedirs(CONTEXTS, mode=0o700, exist_ok=True)
    folder = folder_of(language, name)
    path = os.path.join(folder, "socket")
    with open(os.path.join(MEMORY, "contexts.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(path)
            return connection
        except FileNotFoundError:
            if len(os.listdir(CONTEXTS)) >= MAX_CONTEXTS:
                return None
            os.mkdir(folder, mode=0o700)
        except ConnectionRefusedError:
            os.unlink(path)  # Its host was killed.
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        if os.fork() == 0:
            lock.close()  # Else the lock would be held as long as the host lives.
            connection.close()
            become_host(language, cwd, listener, folder)
        listener.close()
        connection.connect(path)
        return connection


def become_host(language, cwd, listener, folder):
    """Leaves this program's session and outputs, so that the program can end without it."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setsid()
        nowhere = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nowhere, number)
        os.closerange(3, listener.fileno())  # Else the server would not notice that this program ends.
        os.closerange(listener.fileno() + 1, MAX_FDS)
        ContextHost(language, cwd, listener, folder).serve()
    finally:
        os._exit(1)


def main(request):
    if not files_are_mounted(request):
        return {"unmounted": True}
    if not re.fullmatch(r"[\w-]{1,64}", request["context"], re.ASCII):
        return refusal("invalid_input", "Name the context with letters and digits.")
    sign_in(request["id"])  # Ended by it, the host sees the connection end and interrupts the code.
    try:
        # TypeScript is JavaScript with types: one kernel has the state of both.
        language = "python" if request["language"] == "python" else "javascript"
        connection = connect(language, request["context"], request["cwd"])
        if connection is None:
            message = f"There are {MAX_CONTEXTS} code contexts already; use one of them."
            return refusal("limit_reached", message)
        connection.sendall(encode(request))
        with connection.makefile("rb") as answer:
            for line in answer:
                write_whole(line)
    finally:
        sign_out(request["id"])

