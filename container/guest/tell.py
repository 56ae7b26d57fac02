"""Writes to a running command's standard input, or sends it a signal. Says where its outputs were before."""

from control import tell
from records import facts, folder_of
from request import refusal


def main(request):
    if facts(request["processId"]) is None:
        return refusal("not_found", "There is no such process; list the processes to see which there are.")
    return tell(folder_of(request["processId"]), request)

