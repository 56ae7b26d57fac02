"""What the container uses of its disk and memory, and how many processes are in it."""

import os

WORKSPACE = "/workspace"


def disk():
    info = os.statvfs(WORKSPACE)
    return {
        "usedBytes": (info.f_blocks - info.f_bfree) * info.f_frsize,
        "limitBytes": info.f_blocks * info.f_frsize,
    }


def memory():
    """A machine of its own has no limit on its control group; on an engine that is shared the group has one."""
    limit = _number("memory.max")
    if limit is None:
        with open("/proc/meminfo") as table:
            kilobytes = {name: int(rest.split()[0]) for name, _, rest in (row.partition(":") for row in table)}
        total = kilobytes["MemTotal"]
        return {"usedBytes": 1024 * (total - kilobytes["MemAvailable"]), "limitBytes": 1024 * total}
    return {"usedBytes": _number("memory.current") or 0, "limitBytes": limit}


def _number(name):
    try:
        with open(f"/sys/fs/cgroup/{name}") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def process_count():
    """Without the guest's server and those that it forked."""
    own = _command_line("self")
    lines = [_command_line(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]
    return sum(line not in (None, own) for line in lines)


def _command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return None


def main(_):
    return {"result": {"disk": disk(), "memory": memory(), "processCount": process_count()}}
