"""
Waits for a regular expression in an output. The pattern comes from the caller, and trying one can take for ever: a
try has a second and a bounded memory.

Patterns are written as in JavaScript with the flag m and tried by Python's `re`: `[^]`, `[]`, `(?<name>…)` and
`\\k<name>` are translated; `\\w`, `\\d` and `\\b` know ASCII, and so does `\\s`, which in JavaScript knows more; what `re`
has no words for (`\\p{…}`, `\\u{…}`, lookbehind of any length) is refused as no regular expression.
"""

import re
import resource
import signal

from spool import read, size_of

TRY_SECONDS = 1.0
MAX_MEMORY_BYTES = 1024 * 1024 * 1024
#: What is tried at once; a match may be half as long.
WINDOW_BYTES = 1024 * 1024


class BadPattern(Exception):
    """What its author is told."""


class Pattern:
    def __init__(self, source, starts):
        """`starts` has each output's path with the byte from which on it is looked at."""
        signal.signal(signal.SIGALRM, _give_up)
        self._starts = starts
        self._tried = dict.fromkeys(starts, -1)
        self._regex = _limited(lambda: re.compile(_translated(source), re.MULTILINE | re.ASCII))

    def is_found(self):
        return any([self._is_found_in(path) for path in self._starts])

    def _is_found_in(self, path):
        size = size_of(path)
        while self._tried[path] < size:
            start = self._starts[path]
            end = min(size, start + WINDOW_BYTES)
            text = read(path, start, end).decode("utf-8", "replace")
            if _limited(lambda: self._regex.search(text)) is not None:
                return True
            self._tried[path] = end
            if end - start == WINDOW_BYTES:
                self._starts[path] = start + WINDOW_BYTES // 2
        return False


def _translated(source):
    return _DIFFERENT.sub(_translate, source)


#: What is behind a backslash stands for itself, and a class goes to its first bracket.
_DIFFERENT = re.compile(r"\\k<\w+>|\\.|\[\^?(?:\\.|[^\\\]])*\]|\(\?<(?![=!])", re.DOTALL)


def _translate(match):
    found = match[0]
    if found.startswith("\\k<"):
        return f"(?P={found[3:-1]})"
    if found.startswith("["):
        escaped = re.sub(r"\\.|\[", lambda part: r"\[" if part[0] == "[" else part[0], found[1:], flags=re.DOTALL)
        return {"[]": r"(?!)", "[^]": r"[\s\S]"}.get(found, "[" + escaped)
    return "(?P<" if found == "(?<" else found


def _limited(work):
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    # The soft one alone, and only meanwhile: this process runs commands afterwards, which inherit both.
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, hard))
    signal.setitimer(signal.ITIMER_REAL, TRY_SECONDS)
    try:
        return work()
    except (re.error, OverflowError, RecursionError) as error:
        raise BadPattern("The pattern is not a regular expression; correct it, or leave it out.") from error
    except (TimeoutError, MemoryError) as error:
        raise BadPattern("The pattern takes too long to try on this output; make it simpler.") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _give_up(*_):
    raise TimeoutError
