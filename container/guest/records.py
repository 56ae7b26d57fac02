"""
What is remembered of each command. A folder in memory has the request's facts, how the command ended and the socket by
which its watcher is told something; one on the disk has the outputs.
"""

import json
import os
import shutil
import time

from calls import has_signed_in, pid_at_work
from request import MEMORY, STATE, write_json

COMMANDS = os.path.join(MEMORY, "commands")
OUTPUTS = os.path.join(STATE, "commands")
#: Of the ended ones; the container's smallest disk has 2 GB, and its memory for devices 64 MB.
MAX_KEPT = 200
MAX_KEPT_BYTES = 1024 * 1024 * 1024
#: So many more come before the oldest are looked for, which takes as long as a command does.
MAX_WAITING = 20
#: A command with as much output has them looked for at once.
LARGE_BYTES = 1024 * 1024
MAX_LISTED = 500
MAX_COMMAND_CHARS = 2_000
#: A command that has begun is at work by then, however busy the machine is.
SIGN_IN_SECONDS = 60
#: There as soon as an output has found no room.
LOSS = "loss"


def folder_of(process_id):
    return os.path.join(COMMANDS, process_id)


def output_of(process_id, name):
    return os.path.join(OUTPUTS, process_id, name)


def begin(process_id, command, is_internal):
    folder = folder_of(process_id)
    os.makedirs(folder, mode=0o700)
    shown = command if len(command) <= MAX_COMMAND_CHARS else command[: MAX_COMMAND_CHARS - 1] + "…"
    request = {"command": shown, "startedAtMs": round(1000 * time.time()), "isInternal": is_internal}
    write_json(os.path.join(folder, "request.json"), request)


def note_loss(process_id):
    with open(os.path.join(folder_of(process_id), LOSS), "w"):
        pass


def losses(process_id):
    return {"hasLostOutput": True} if os.path.exists(os.path.join(folder_of(process_id), LOSS)) else {}


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
    result = _read(os.path.join(folder, "result.json"))
    if result is None:
        until = time.time() if is_at_work else _last_change(process_id)
        duration_ms = max(0, round(1000 * until) - request["startedAtMs"])
        result = {"isRunning": is_at_work, "hasTimedOut": False, "durationMs": duration_ms}
    return {"processId": process_id} | request | result | losses(process_id)


def newest_first():
    started = []
    for process_id in os.listdir(COMMANDS) if os.path.isdir(COMMANDS) else []:
        try:
            started.append((os.stat(os.path.join(folder_of(process_id), "request.json")).st_mtime_ns, process_id))
        except FileNotFoundError:
            pass  # It has just begun, or has just been forgotten.
    return [process_id for _, process_id in sorted(started, reverse=True)[:MAX_LISTED]]


def forget_oldest(output_bytes):
    """
    Lets ended commands go, those that ended first, where there are too many or their outputs too large; called after a
    command with so much output.
    """
    process_ids = os.listdir(COMMANDS)
    if output_bytes < LARGE_BYTES and len(process_ids) <= MAX_KEPT + MAX_WAITING:
        return
    is_crowded = len(process_ids) > MAX_KEPT
    found = ((_ended_at(process_id, is_crowded), process_id) for process_id in process_ids)
    ended = sorted(((ended_at, process_id) for ended_at, process_id in found if ended_at is not None), reverse=True)
    kept_bytes = 0
    for number, (_, process_id) in enumerate(ended):
        kept_bytes += sum(info.st_size for info in _files_in(os.path.join(OUTPUTS, process_id)))
        # The newest stays whatever its size: its caller reads it next.
        if number >= MAX_KEPT or (kept_bytes > MAX_KEPT_BYTES and number > 0):
            forget(process_id)


def forget(process_id):
    for folder in (COMMANDS, OUTPUTS):
        shutil.rmtree(os.path.join(folder, process_id), ignore_errors=True)


def _ended_at(process_id, is_crowded):
    """Nothing as long as it runs; that its watcher was killed is found out where others need the place."""
    try:
        return os.stat(os.path.join(folder_of(process_id), "result.json")).st_mtime
    except FileNotFoundError:
        pass
    if not is_crowded or pid_at_work(process_id) is not None:
        return None
    last_change = _last_change(process_id)
    # One that has just begun has not signed in yet.
    is_killed = has_signed_in(process_id) or last_change < time.time() - SIGN_IN_SECONDS
    return last_change if is_killed else None


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def _last_change(process_id):
    """When a command whose watcher was killed was last heard of."""
    folders = [os.path.join(folder, process_id) for folder in (COMMANDS, OUTPUTS)]
    return max((info.st_mtime for folder in folders for info in _files_in(folder)), default=0)


def _files_in(folder):
    """What each is like, as far as they are not removed meanwhile."""
    found = []
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        try:
            found.append(os.stat(os.path.join(folder, name)))
        except FileNotFoundError:
            pass
    return found
