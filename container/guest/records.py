"""What is remembered of each command, in a folder of its own: the request's facts, the outputs, and how it ended."""

import json
import os
import shutil
import time

from calls import pid_at_work
from request import STATE, write_json

COMMANDS = os.path.join(STATE, "commands")
#: Of the ended ones; the container's smallest disk has 2 GB.
MAX_KEPT = 200
MAX_KEPT_BYTES = 1024 * 1024 * 1024
MAX_LISTED = 500
MAX_COMMAND_CHARS = 2_000


def folder_of(process_id):
    return os.path.join(COMMANDS, process_id)


def begin(process_id, command, is_internal):
    folder = folder_of(process_id)
    os.makedirs(folder, mode=0o700)
    shown = command if len(command) <= MAX_COMMAND_CHARS else command[: MAX_COMMAND_CHARS - 1] + "…"
    request = {"command": shown, "startedAtMs": round(1000 * time.time()), "isInternal": is_internal}
    write_json(os.path.join(folder, "request.json"), request)
    return folder


def finish(process_id, result):
    write_json(os.path.join(folder_of(process_id), "result.json"), result)


def facts(process_id):
    """Nothing where the process is not remembered."""
    folder = folder_of(process_id)
    # Asked first: whoever has signed out has written its result before.
    is_at_work = pid_at_work(process_id) is not None
    request = _read(os.path.join(folder, "request.json"))
    if request is None:
        return None
    result = _read(os.path.join(folder, "result.json")) or {
        "isRunning": is_at_work,
        "hasTimedOut": False,
        "durationMs": max(0, round(1000 * (time.time() if is_at_work else _last_change(folder))) - request["startedAtMs"]),
    }
    return {"processId": process_id} | request | result


def newest_first():
    started = []
    for process_id in os.listdir(COMMANDS) if os.path.isdir(COMMANDS) else []:
        try:
            started.append((os.stat(os.path.join(folder_of(process_id), "request.json")).st_mtime_ns, process_id))
        except FileNotFoundError:
            pass  # It has just begun, or has just been forgotten.
    return [process_id for _, process_id in sorted(started, reverse=True)[:MAX_LISTED]]


def forget_oldest():
    """Lets ended commands go, those that ended first, where there are too many or their outputs too large."""
    ended = []
    for entry in os.scandir(COMMANDS):
        try:
            ended_at = os.stat(os.path.join(entry.path, "result.json")).st_mtime_ns
            ended.append((ended_at, entry.path, sum(file.stat().st_size for file in os.scandir(entry.path))))
        except FileNotFoundError:
            pass
    kept_bytes = 0
    for number, (_, path, size) in enumerate(sorted(ended, reverse=True)):
        kept_bytes += size
        # The newest stays whatever its size: its caller reads it next.
        if number >= MAX_KEPT or (kept_bytes > MAX_KEPT_BYTES and number > 0):
            remove_folder(path)


def remove_folder(path):
    shutil.rmtree(path, ignore_errors=True)


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def _last_change(folder):
    """When a command whose watcher was killed was last heard of."""
    try:
        return max(entry.stat().st_mtime for entry in os.scandir(folder))
    except (OSError, ValueError):
        return 0
