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
    """Without this program and the one that it was forked from."""
    return sum(entry.name.isdigit() for entry in os.scandir("/proc")) - 2


def main(_):
    return {"result": {"disk": disk(), "memory": memory(), "processCount": process_count()}}
