"""The code contexts that hold state or are at work, oldest first."""

import os

from context_state import CONTEXTS, has_kernel, is_busy


def main(_):
    folders = [entry.path for entry in os.scandir(CONTEXTS)] if os.path.isdir(CONTEXTS) else []
    found = []
    for folder in folders:
        busy = is_busy(folder)
        if busy or has_kernel(folder):
            language, _, name = os.path.basename(folder).partition("-")
            context = {"language": language, "context": name, "isBusy": busy}
            found.append((os.stat(folder).st_ctime_ns, context))
    return {"result": [context for _, context in sorted(found, key=lambda pair: pair[0])]}

