"""Starting a process in a session of its own, and finding and killing everything that it started."""

import ctypes
import fcntl
import os
import signal
import termios
import time

PR_SET_CHILD_SUBREAPER = 36
KILL_SECONDS = 5.0
F_SETPIPE_SZ = 1031
PIPE_BYTES = 1024 * 1024


def become_subreaper():
    """From now on an orphan below this process becomes its child, so a daemon cannot leave the tree."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def make_pipe():
    """A pipe that holds a megabyte, where the kernel allows that; its reader does not block."""
    reader, writer = os.pipe()
    try:
        fcntl.fcntl(reader, F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:
        pass
    os.set_blocking(reader, False)
    return reader, writer


def spawn(arguments, fds, cwd, env):
    """Starts a program whose file descriptors 0, 1, ... are `fds`, which are closed here. Returns its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            # Twice, since one of them may already have the number that another is to get.
            fds = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in fds]
            for number, fd in enumerate(fds):
                os.dup2(fd, number)
            if os.isatty(0):
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            signal.set_wakeup_fd(-1)
            # Whatever this program and those above it have set aside.
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(number, signal.SIG_DFL)
            set_oom_score(500)  # Of all processes, the one to die when memory runs out.
            os.chdir(cwd)
            os.execve(arguments[0], arguments, environment(env))
        except (OSError, ValueError) as error:
            os.write(2, f"{error}\n".encode())
        os._exit(126)
    for fd in fds:
        os.close(fd)
    return pid


def environment(more):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PINCER_", "SANDBOX_"))}
    return inherited | {"HOME": "/workspace"} | more


def set_oom_score(score):
    """Raising it is everybody's right, lowering it root's alone."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(score))
    except PermissionError:
        pass


def signal_name(status):
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else None


def descendants(root):
    children = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            with open(f"/proc/{entry.name}/stat", "rb") as stat:
                fields = stat.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] != b"Z":
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = [], [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def kill_descendants(root):
    """Stops them first, so that none forks while the others die."""
    deadline = time.monotonic() + KILL_SECONDS
    while time.monotonic() < deadline:
        pids = descendants(root)
        if not pids:
            return
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
        time.sleep(0.005)
