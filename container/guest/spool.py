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
    """While the disk has no room, the command goes on and what it says is lost; what comes then has a segment of its own."""

    def __init__(self, path, on_loss):
        self._path = path
        self._on_loss = on_loss
        self._file = None
        self._position = 0
        self._segments = []
        try:
            self._begin(path, HEAD_BYTES)  # There is a file even where nothing comes.
        except OSError:
            pass  # Nothing is lost yet.

    def write(self, data):
        try:
            while data:
                if self._file is None or self._position == self._ends_at:
                    self._begin_segment()
                written = self._file.write(data[: self._ends_at - self._position])
                self._position += written
                data = data[written:]
        except OSError:
            self._close()
            self._position += len(data)
            self._on_loss()

    def _begin_segment(self):
        if self._position == 0:
            self._begin(self._path, HEAD_BYTES)
            return
        path = f"{self._path}.{self._position}"
        self._begin(path, self._position + SEGMENT_BYTES)
        self._segments.append(path)
        if len(self._segments) > 2:
            os.unlink(self._segments.pop(0))

    def _begin(self, path, ends_at):
        self._close()
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        self._file = open(path, "wb", buffering=0)
        self._ends_at = ends_at

    def _close(self):
        if self._file is not None:
            self._file.close()
            self._file = None


def size_of(path):
    """How many bytes the output has had so far."""
    start, last = _pieces(path)[-1]
    return start + _size(last)


def kept_from(path):
    """Where the row of bytes begins that the newest ones are in: behind whatever was let go or found no room."""
    found = position = 0
    for start, piece in _pieces(path):
        if start > position:
            found = start
        position = start + _size(piece)
    return found


def read(path, start, end):
    """The bytes from `start`, as far as they are kept in one row; none where they are not."""
    found = bytearray()
    for piece_start, piece in _pieces(path):
        position = start + len(found)
        # Most disks know no place that is far behind a file's end.
        if position < piece_start or position >= min(end, piece_start + _size(piece)):
            continue
        try:
            with open(piece, "rb") as file:
                file.seek(position - piece_start)
                found += file.read(end - position)
        except FileNotFoundError:
            pass
    return bytes(found)


def character_start(path, position):
    """Where the character begins that the position is in, as far as it has come; the position itself where it is in none."""
    first = max(0, position - 3)
    found = read(path, first, position + 1)
    before, at = found[: position - first], found[position - first :]
    if len(before) < position - first or (at != b"" and at[0] & 0xC0 != 0x80):
        return position
    for distance in range(1, len(before) + 1):
        byte = before[-distance]
        if byte & 0xC0 == 0x80:
            continue
        length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return position - distance if length > distance else position
    return position


def _pieces(path):
    folder, name = os.path.split(path)
    segment = re.compile(re.escape(name) + r"\.(\d+)")
    names = os.listdir(folder) if os.path.isdir(folder) else []
    matches = [match for match in map(segment.fullmatch, names) if match]
    return [(0, path), *sorted((int(match[1]), os.path.join(folder, match[0])) for match in matches)]


def _size(piece):
    try:
        return os.stat(piece).st_size
    except FileNotFoundError:  # It found no room, or there is a newer one since.
        return 0
