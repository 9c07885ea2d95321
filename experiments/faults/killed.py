"""A command as a process that is killed at a moment."""

import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

FORK = multiprocessing.get_context("fork")
SLOW = (
    "nas.search",
    "nas.retrain",
    "torch._dynamo",
    "torch.utils.tensorboard",
    "sklearn.datasets",
    "scipy.stats",
)
"""Modules that a command imports, some of them late."""
PATIENCE = 600.0
"""Seconds after which a process that is not to be killed is taken to hang."""


@dataclass(frozen=True)
class Kill:
    """SIGKILL after so many seconds: for all processes of a run, or for the command alone, as the system may choose."""

    after: float
    everyone: bool


def preload() -> None:
    """Imports what a command would need seconds for; forks of this process have it."""
    for module in SLOW:
        importlib.import_module(module)


def ended(module: str, words: Sequence[str], log: Path, kill: Kill | None = None) -> int:
    """The exit status of `python -m nas.MODULE WORDS`, negative where it was killed; its words are added to `log`.

    The process is a fork of this one, which must have no other threads.

    Raises:
        TimeoutError: it hangs.
    """
    process = FORK.Process(target=_command, args=(module, words, log))
    process.start()
    assert process.pid is not None
    process.join(PATIENCE if kill is None else kill.after)
    if process.exitcode is None:
        with suppress(ProcessLookupError):  # it has ended in the meantime, or has no group of its own yet
            if kill is not None and not kill.everyone:
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.join()
        if kill is None:
            raise TimeoutError(f"nas.{module} {' '.join(words)} has not ended in {PATIENCE:.0f} s")
    assert process.exitcode is not None
    return process.exitcode


def _command(module: str, words: Sequence[str], log: Path) -> None:
    os.setpgid(0, 0)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.argv = [f"nas.{module}", *words]
    sys.exit(importlib.import_module(f"nas.{module}").main())
