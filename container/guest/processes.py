"""Starting a process in a session of its own, and finding and killing everything that it started."""

import ctypes
import errno
import fcntl
import os
import signal
import time

LIBC = ctypes.CDLL(None)
PR_SET_CHILD_SUBREAPER = 36
KILL_SECONDS = 5.0
F_SETPIPE_SZ = 1031
PIPE_BYTES = 1024 * 1024
#: Whatever this program and those above it have set aside; to list them all takes a while.
SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
#: What the caller's processes have inherited, wherever they have gone.
CALLERS_SCORE = 500


def become_subreaper():
    """From now on an orphan below this process becomes its child, so a daemon cannot leave the tree."""
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def make_pipe():
    """A pipe that holds a megabyte, where the kernel allows that; its reader does not block."""
    reader, writer = os.pipe()
    widen(reader)
    os.set_blocking(reader, False)
    return reader, writer


def widen(pipe):
    """The kernel grants a user only so many pages for pipes."""
    try:
        fcntl.fcntl(pipe, F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:
        pass


def spawn(arguments, fds, cwd, env, is_terminal=False):
    """
    Starts a program in a session of its own, whose file descriptors 0, 1, ... are `fds`, which are closed here. Returns
    its pid. This process moves to `cwd`: without a copy of its memory, of which nothing may be written to in between,
    a start takes a fifth of the time.
    """
    actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(fds)]
    if is_terminal:
        arguments = ["/usr/bin/setsid", "--ctty", *arguments]
    set_oom_score(CALLERS_SCORE)  # Of all processes, the one to die when memory runs out.
    try:
        os.chdir(cwd)
        return _start(arguments, actions, environment(env), not is_terminal)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.EAGAIN, errno.ENOMEM):
            raise
        os.write(fds[2], f"{error}\n".encode())
        return _start(["/bin/bash", "-c", "exit 126"], actions, {}, True)
    finally:
        set_oom_score(0)
        for fd in fds:
            os.close(fd)


def _start(arguments, actions, env, is_leader):
    return os.posix_spawn(
        arguments[0], arguments, env, file_actions=actions, setsid=is_leader, setsigdef=SIGNALS, setsigmask=()
    )


def environment(more):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PINCER_", "SANDBOX_"))}
    # Where pip, npm and presets put programs for whoever types their names.
    path = f"/workspace/.local/bin:{inherited.get('PATH', '')}"
    return inherited | {"HOME": "/workspace", "PATH": path} | more


def set_oom_score(score):
    """Raising it is everybody's right, lowering it root's alone."""
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    try:
        os.write(fd, b"%d" % score)
    except PermissionError:
        pass
    finally:
        os.close(fd)


def has_callers():
    """Whether anything runs that a call has started, though it may have ended since."""
    return any(_oom_score(entry.name) == CALLERS_SCORE for entry in os.scandir("/proc") if entry.name.isdigit())


def _oom_score(pid):
    try:
        with open(f"/proc/{pid}/oom_score_adj", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None  # It has just ended.


def signal_name(status):
    if not os.WIFSIGNALED(status):
        return None
    number = os.WTERMSIG(status)
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"  # Most real-time signals have no name.


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
