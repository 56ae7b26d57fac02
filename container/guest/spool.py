"""
All that one output has had, in files: the first 64 MB under the output's own name, and of what came after them the
newest few MB in segments that are named after the byte they begin with. Where an output ends can so be seen from
outside, while it grows and afterwards.
"""

import os
import re

HEAD_BYTES = 64 * 1024 * 1024
SEGMENT_BYTES = 4 * 1024 * 1024


class Spool:
    def __init__(self, path):
        self._path = path
        self._file = open(path, "wb", buffering=0)
        self._ends_at = HEAD_BYTES
        self._written = 0
        self._segments = []

    def write(self, data):
        try:
            while data and self._file is not None:
                if self._written == self._ends_at:
                    self._begin_segment()
                written = self._file.write(data[: self._ends_at - self._written])
                self._written += written
                data = data[written:]
        except OSError:
            self._file = None  # The disk is full: the command goes on, and what it says is lost.

    def _begin_segment(self):
        self._file.close()
        self._ends_at += SEGMENT_BYTES
        self._segments.append(f"{self._path}.{self._written}")
        self._file = open(self._segments[-1], "wb", buffering=0)
        if len(self._segments) > 2:
            os.unlink(self._segments.pop(0))


def size_of(path):
    """How many bytes the output has had so far."""
    start, last = _pieces(path)[-1]
    try:
        return start + os.stat(last).st_size
    except FileNotFoundError:  # There is a newer one since.
        return start


def read(path, start, end):
    """The bytes from `start`, as far as they are kept in one row; none where they are not."""
    found = bytearray()
    for piece_start, piece in _pieces(path):
        position = start + len(found)
        if position < piece_start or position >= end:
            continue
        try:
            with open(piece, "rb") as file:
                file.seek(position - piece_start)
                found += file.read(end - position)
        except FileNotFoundError:
            pass
    return bytes(found)


def character_start(path, position):
    """Where the character begins that the position is in; the position itself where it is in none."""
    before = read(path, max(0, position - 3), position + 1)
    if len(before) < 2 or before[-1] & 0xC0 != 0x80:
        return position
    for back in range(2, len(before) + 1):
        byte = before[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return position - back + 1 if length >= back else position
    return position


def _pieces(path):
    folder, name = os.path.split(path)
    segment = re.compile(re.escape(name) + r"\.(\d+)")
    matches = [match for match in map(segment.fullmatch, os.listdir(folder)) if match]
    return [(0, path), *sorted((int(match[1]), os.path.join(folder, match[0])) for match in matches)]
