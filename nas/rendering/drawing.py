"""Drawing DOT source with the Graphviz that is there."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, get_args

from nas.rendering.fonts import use_matplotlib_fonts

Format = Literal["svg", "png"]
SECONDS = 60


def draw(source: str, format: Format) -> bytes:
    """Lays out and draws DOT source, with pygraphviz and its bundled Graphviz or else with `dot` from PATH.

    Raises:
        RuntimeError: neither of them drew it; the message has both reasons.
        ValueError: another format.
    """
    if format not in get_args(Format):
        raise ValueError(f"a picture is drawn as {' or '.join(get_args(Format))}, not as {format!r}")
    reasons = []
    for renderer in RENDERERS:
        try:
            use_matplotlib_fonts()
            return renderer(source, format)
        except (ImportError, OSError, ValueError, subprocess.SubprocessError) as error:
            reasons.append(f"{renderer.__name__}: {error}")
    raise RuntimeError(f"no Graphviz draws this picture ({'; '.join(reasons)}); install pygraphviz or Graphviz")


def bundled(source: str, format: Format) -> bytes:
    """Draws in this process, with the Graphviz in pygraphviz's wheel."""
    import pygraphviz  # here, because a machine without it still draws

    graph = pygraphviz.AGraph(string=source)
    try:
        with _silent_fontconfig():
            return bytes(graph.draw(format=format, prog="dot"))
    finally:
        graph.close()


@contextmanager
def _silent_fontconfig() -> Iterator[None]:
    """Hides what C libraries write to standard error: the bundled fontconfig warns of elements that Debian's files use.

    A drawing that fails still raises.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def program(source: str, format: Format) -> bytes:
    """Draws with the `dot` program."""
    path = shutil.which("dot")
    if path is None:
        raise FileNotFoundError("there is no program `dot` on PATH")
    command = [path, f"-T{format}"]
    # in a session of its own it does not hear the Ctrl-C that is for this process
    return subprocess.run(
        command, input=source.encode(), capture_output=True, check=True, timeout=SECONDS, start_new_session=True
    ).stdout


RENDERERS: tuple[Callable[[str, Format], bytes], ...] = (bundled, program)
