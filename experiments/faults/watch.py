"""One file read under watch: what came of it, how long it took, and what it touched."""

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.errors import InstantiationException

ENDS = ("accepted", "refused", "crashed", "hung", "trespassed")
WRITES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate"}
RUNS = ("pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
LONGEST = 5_000
"""Characters of a message that is still a line."""


class Hang(BaseException):
    """A case that took too long; no reader catches it."""


@dataclass(frozen=True)
class Outcome:
    """How reading a file ended, one of ENDS; `words` is the message, or the traces outside of the folder."""

    end: str
    words: str
    seconds: float


def watched(read: Callable[[Path], object], folder: Path, limit: float) -> Outcome:
    """Reads the file of a case within `limit` seconds.

    `refused` is a ValueError or an OSError whose message is one line, also where Hydra has wrapped it; any other error,
    and a message of several lines, is `crashed`. To write outside of the folder, to unpickle a name or to start a
    program is `trespassed`.
    """
    start = time.perf_counter()
    end, words = "accepted", ""
    with _noted(folder) as traces, _alarm(limit):
        try:
            read(folder)
        except Hang:
            end = "hung"
        except Exception as error:
            told = _told(error)
            end, words = ("refused", told) if told else ("crashed", f"{type(error).__name__}: {error}")
    if traces:
        end, words = "trespassed", "; ".join(traces)
    return Outcome(end, words, time.perf_counter() - start)


def _told(error: BaseException) -> str:
    """The line that a command prints of this error; nothing where it would show a traceback, or more than a line."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        return _told(error.__cause__)
    text = str(error) if isinstance(error, ValueError | OSError) else ""
    return text if len(text.splitlines()) == 1 and len(text) <= LONGEST else ""


def peak_memory() -> float:
    """The most memory that this process has had at once, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raises `Hang` in the block after so long; an alarm that was set before goes on afterwards."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Hang

    handler = signal.signal(signal.SIGALRM, ring)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)
        signal.signal(signal.SIGALRM, handler)


_notes: list[tuple[str, list[str]]] = []
"""The folder of the running case and its traces; empty between cases. A hook can't be taken away again."""


@contextmanager
def _noted(folder: Path) -> Iterator[list[str]]:
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked.append(True)
    traces: list[str] = []
    _notes.append((f"{folder.resolve()}{os.sep}", traces))
    try:
        yield traces
    finally:
        _notes.pop()


_hooked: list[bool] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _notes:
        return
    folder, traces = _notes[-1]
    if event.startswith(RUNS):
        traces.append(f"{event} {arguments!r:.200}")
    elif event in WRITES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING):
        path = arguments[0]
        if isinstance(path, str | bytes | os.PathLike) and not _inside(os.fsdecode(path), folder, event == "open"):
            traces.append(f"{event} {os.fsdecode(path)!r:.200}")


def _inside(path: str, folder: str, followed: bool) -> bool:
    """Whether a path leads into the folder; opening follows a link at its end, and renaming does not."""
    parent, name = os.path.split(os.path.abspath(path))
    real = os.path.realpath(path) if followed else os.path.join(os.path.realpath(parent), name)
    return real.startswith(folder) or real == os.devnull
