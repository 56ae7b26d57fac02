"""
Answers the driver. Each connection goes to a process that has every program loaded already: one that is free, else one
that is forked from this. This one itself reads nothing, so that nothing which is sent can break it.

Whatever runs in the container can connect as well. It belongs to the same caller, so the secret only keeps out programs
that are confused, and what shares a developer's own network.
"""

import errno
import gc
import os
import selectors
import signal
import socket
import sys
import time

from answer import answer_head, work
from processes import set_oom_score
from request import MEMORY

#: Connections that wait to be taken.
BACKLOG = 1024
#: Of processes that are free; the rest of a rush ends.
MAX_FREE = 4


class Server:
    def __init__(self, listener, secret):
        self._listener = listener
        self._secret = secret
        self._free = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ, self._accept)

    def serve(self):
        while True:
            for key, _ in self._selector.select():
                if self._selector.get_map().get(key.fd) is key:  # Else what came before has closed it.
                    key.data(key.fileobj)

    def _accept(self, listener):
        try:
            connection, _ = listener.accept()
        except OSError:
            time.sleep(0.05)  # Whoever connected has gone, or no more can be open at once.
            return
        with connection:
            try:
                while not self._pass_on(connection, self._free.pop() if self._free else self._fork(connection)):
                    pass
            except OSError as error:
                refuse(connection, error)

    def _pass_on(self, connection, worker):
        """Whether the worker has it; it may have been killed while it was free."""
        try:
            socket.send_fds(worker, [b"c"], [connection.fileno()])
        except OSError:
            self._forget(worker)
            return False
        return True

    def _fork(self, connection):
        """A new worker, to which the connection is passed on like to any other."""
        ours, theirs = socket.socketpair()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            raise
        if pid == 0:
            try:
                ours.close()
                connection.close()
                for key in list(self._selector.get_map().values()):
                    key.fileobj.close()  # Else the port would stay taken when the server is killed.
                self._selector.close()
                set_oom_score(0)
                work(theirs, self._secret)
            finally:
                os._exit(0)
        theirs.close()
        self._selector.register(ours, selectors.EVENT_READ, self._hear)
        return ours

    def _hear(self, worker):
        """It is free, or has ended."""
        try:
            is_free = worker.recv(1) != b""
        except OSError:
            is_free = False
        if is_free and len(self._free) < MAX_FREE:
            self._free.append(worker)
        else:
            self._forget(worker)

    def _forget(self, worker):
        if worker in self._free:
            self._free.remove(worker)
        self._selector.unregister(worker)
        worker.close()


def refuse(connection, error):
    try:
        connection.setblocking(False)
        connection.sendall(answer_head("503 Service Unavailable") + str(error).encode())
    except OSError:
        pass


def main():
    """Returns when somebody listens: who started this can connect."""
    secret = os.environ.pop("PINCER_SECRET").encode("latin-1")
    os.makedirs(MEMORY, mode=0o700, exist_ok=True)
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
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # The kernel buries the children.
    set_oom_score(-900)  # Of all processes, the last to die when memory runs out.
    gc.collect()
    gc.freeze()  # A fork's first collection would copy every page.
    Server(listener, secret).serve()


if __name__ == "__main__":
    main()
