"""Starts a command, with pipes or in a terminal."""

import fcntl
import os
import struct
import termios

from processes import make_pipe, spawn

#: The longest argument that Linux takes is 128 KiB.
MAX_ARGUMENT_BYTES = 120_000
ROWS, COLUMNS = 40, 120


def open_script(command):
    """Where a command is too long for an argument, a file in memory that has it, to be kept open until it has ended."""
    if len(command.encode()) <= MAX_ARGUMENT_BYTES:
        return None
    script = open(os.memfd_create("command"), "wb")
    script.write(command.encode())
    script.flush()
    return script


def start_command(request, script, kind):
    """
    Its pid, where its standard input is written to, and by name what it writes, which is read without blocking: in a
    terminal all of it is stdout.
    """
    env = request.get("env", {})
    if kind == "terminal":
        watched, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        os.set_blocking(watched, False)
        stdin, outputs = os.dup(watched), {"stdout": watched}
        fds = [theirs, os.dup(theirs), os.dup(theirs)]
        env = {"TERM": "xterm-256color"} | env
    else:
        theirs, stdin = os.pipe()
        fds, outputs = [theirs], {}
        for name in ("stdout", "stderr"):
            outputs[name], writer = make_pipe()
            fds.append(writer)
    pid = spawn(_arguments(request["command"], script), fds, request["cwd"], env, kind == "terminal")
    return pid, stdin, outputs


def _arguments(command, script):
    if script is None:
        return ["/bin/bash", "-c", command]
    return ["/bin/bash", f"/proc/{os.getpid()}/fd/{script.fileno()}"]
