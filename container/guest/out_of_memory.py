"""How often the kernel has ended a process because the memory was used up, where a control group counts that."""

COUNTERS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


def count_kills():
    """Nothing is counted where there is no such group: a machine of its own may be without."""
    for path in COUNTERS:
        try:
            with open(path) as counters:
                counts = dict(line.split(" ") for line in counters)
            return int(counts["oom_kill"])
        except (OSError, ValueError, KeyError):
            pass
    return 0
