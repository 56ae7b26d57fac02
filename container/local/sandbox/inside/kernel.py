"""
A Python code context: runs cells on IPython and keeps their variables.

Requests and answers are JSON lines on file descriptor 3; standard output and error belong to the code, its
subprocesses included. At the end of a run a mark is written to both, so that the runtime knows which bytes were
the run's. Whoever runs here could forge all of this, and would deceive nobody but themselves.
"""

import asyncio
import base64
import ctypes
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import types
import warnings

# IPython's completion and terminal: of no use here, and two fifths of the time that a context takes to start. Code
# that imports them finds them.
sys.modules["jedi"] = None
sys.modules["IPython.terminal.embed"] = types.SimpleNamespace(embed=None)

import IPython.core.completer  # noqa: F401 - else the shell imports it, and jedi, once that is there again
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Type
from traitlets.config import Config

del sys.modules["jedi"], sys.modules["IPython.terminal.embed"]

FORMS = {
    "text/plain": "text",
    "text/html": "html",
    "text/markdown": "markdown",
    "text/latex": "latex",
    "image/svg+xml": "svg",
    "application/json": "json",
    "image/png": "png",
    "image/jpeg": "jpeg",
}
MAX_FORM_CHARS = {"png": 8_000_000, "jpeg": 8_000_000}
MAX_TEXT_CHARS = 1_000_000
MAX_RESULTS = 100
MAX_TRACEBACK_CHARS = 4_000
#: How plotly hands over a figure that others are to draw.
FIGURE = "application/vnd.plotly.v1+json"
DRAW = ["node", "/opt/pincer/plotly-picture.mjs"]
DRAW_SECONDS = 20
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Channel:
    """The way to the runtime; neither `print` nor a subprocess can write to it by accident."""

    def __init__(self, fd):
        self._socket = socket.socket(fileno=os.dup(fd))
        os.close(fd)
        self._lines = self._socket.makefile("rb")
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def send(self, message):
        # A fork of this process inherits the channel and must not speak.
        if os.getpid() == self._pid:
            with self._lock:
                self._socket.sendall(json.dumps(message).encode("ascii") + b"\n")

    def __iter__(self):
        for line in self._lines:
            yield json.loads(line)


class Run:
    """What the cell that runs now has shown so far."""

    def __init__(self):
        self.channel = None
        self.count = 0
        self.error = None

    def begin(self, channel):
        self.channel, self.count, self.error = channel, 0, None

    def show(self, data):
        if FIGURE in data:
            data = draw(data[FIGURE])
        forms = {}
        for mime, value in data.items():
            form = FORMS.get(mime)
            if form is None or value is None:
                continue
            if isinstance(value, bytes):
                value = base64.b64encode(value).decode("ascii")
            elif form == "json" or not isinstance(value, str):
                value = json.dumps(value, default=str)
            limit = MAX_FORM_CHARS.get(form, MAX_TEXT_CHARS)
            if len(value) <= limit:
                forms[form] = value
            elif form in MAX_FORM_CHARS:
                forms.setdefault("text", f"An image of {len(value)} characters was too large to show.")
            else:
                forms[form] = value[:limit]
        if forms and self.channel is not None:
            self.count += 1
            if self.count <= MAX_RESULTS:
                self.channel.send({"result": forms})


RUN = Run()


class Hook(DisplayHook):
    """Shows the value of a cell's last expression."""

    def write_output_prompt(self):
        pass

    def update_user_ns(self, result):
        # IPython's own cache would keep every value alive.
        self.shell.user_ns["_"] = result

    def write_format_data(self, format_dict, md_dict=None):
        RUN.show(format_dict)

    def finish_displayhook(self):
        pass


class Publisher(DisplayPublisher):
    """Shows what `display` is given."""

    def publish(self, data, metadata=None, source=None, *, transient=None, update=False, **kwargs):
        RUN.show(data)

    def clear_output(self, wait=False):
        pass


class Shell(InteractiveShell):
    displayhook_class = Type(Hook)
    display_pub_class = Type(Publisher)
    # Straight to our standard output, without a terminal in between.
    system = InteractiveShell.system_raw

    def _showtraceback(self, etype, evalue, stb):
        if issubclass(etype, SystemExit):
            stb = [f"SystemExit: {evalue}"]
        text = ANSI.sub("", self.InteractiveTB.stb2text(stb))
        if len(text) > MAX_TRACEBACK_CHARS:
            text = "…\n" + text[-MAX_TRACEBACK_CHARS:].partition("\n")[2]
        RUN.error = {"name": etype.__name__, "message": str(evalue)[:MAX_TRACEBACK_CHARS], "traceback": text}

    def enable_gui(self, gui=None):
        pass


def leave(code=None):
    """`exit()` ends the cell; the context goes on."""
    raise SystemExit(code)


def choose_plotly_renderer():
    """A kaleido before 1 has a browser of its own; without one, figures come as `FIGURE` and are drawn here."""
    kaleido = importlib.util.find_spec("kaleido")
    folders = kaleido.submodule_search_locations if kaleido else None
    can_draw = any(os.path.isdir(os.path.join(folder, "executable")) for folder in folders or [])
    os.environ.setdefault("PLOTLY_RENDERER", "png" if can_draw else "plotly_mimetype")


def draw(figure):
    """A picture where there is a Chrome to draw it, else a page, which is kept as a file."""
    import plotly.io
    import plotly.offline

    given = f"{json.dumps(figure)}\n{plotly.offline.get_plotlyjs()}".encode()
    try:
        picture = subprocess.run(DRAW, input=given, capture_output=True, timeout=DRAW_SECONDS, check=True).stdout
        return {"image/png": picture}
    except (OSError, subprocess.SubprocessError):
        return {"text/html": plotly.io.to_html(figure, include_plotlyjs="cdn", validate=False)}


def make_shell():
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "NoColor"
    config.InteractiveShell.banner1 = ""
    shell = Shell.instance(config=config)
    shell.push({"exit": leave, "quit": leave}, interactive=False)
    warnings.filterwarnings("ignore", message="To exit: use")
    return shell


class Streams:
    """Standard output and error, kept aside so that code which closes or redirects them harms one run only."""

    def __init__(self):
        self._kept = [(fd, os.dup(fd)) for fd in (1, 2)]
        self._libc = ctypes.CDLL(None)

    def finish(self, mark):
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            try:
                stream.flush()
            except (AttributeError, OSError, ValueError):
                pass
        self._libc.fflush(None)
        for fd, kept in self._kept:
            os.dup2(kept, fd)
            data = mark
            while data:
                data = data[os.write(kept, data) :]
        for name, fd in (("stdout", 1), ("stderr", 2)):
            if getattr(sys, name) is None or getattr(sys, name).closed:
                setattr(sys, name, open(fd, "w", buffering=1, errors="backslashreplace", closefd=False))


def stop_tasks():
    """An interrupted `await` would go on beside the next cell."""
    from IPython.core.async_helpers import get_asyncio_loop

    loop = get_asyncio_loop()
    for task in asyncio.all_tasks(loop):
        task.cancel()


def serve(channel, shell):
    streams = Streams()
    own_pid = os.getpid()
    for request in channel:
        RUN.begin(channel)
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            # Whoever interrupts waits for this: an interrupt that came before would be lost.
            channel.send({"begun": request["mark"]})
            shell.run_cell(request["code"], store_history=False)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        except BaseException as error:  # noqa: BLE001 - whatever the code throws, the context goes on
            RUN.error = RUN.error or {"name": type(error).__name__, "message": str(error), "traceback": ""}
        if os.getpid() != own_pid:
            os._exit(0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if RUN.error is not None and RUN.error["name"] == "KeyboardInterrupt":
            stop_tasks()
        streams.finish(b"\0" + request["mark"].encode("ascii"))
        channel.send({"done": request["mark"], "error": RUN.error, "resultCount": RUN.count})


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    channel = Channel(3)
    choose_plotly_renderer()
    shell = make_shell()
    channel.send({"ready": True})
    serve(channel, shell)


main()
