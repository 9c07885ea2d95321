"""The runs of a sweep: what happens to one of them does not stop the others."""

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from nas.cli.mistakes import in_one_line
from nas.cli.signals import STOPPING, Stopped
from nas.tracking import write_atomically
from nas.tracking.runs import FAILED

Task = Callable[[DictConfig], None]

FULL_ERROR = "NAS_FULL_ERROR"
"""Keeps what the user set HYDRA_FULL_ERROR to, for this process and those of a sweep: 1 shows tracebacks."""


class Job:
    """The task of a command as Hydra calls it, once or for each run of a sweep; it counts the runs that failed.

    A single one is `refused` where a person is told what is wrong.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.failed = 0
        self.refused = False

    def __call__(self, config: DictConfig) -> None:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            self.failed += not run_of_sweep(self.task, config)
            return
        try:
            self.task(config)
        except Exception as error:
            if os.environ.get(FULL_ERROR) == "1" or not in_one_line(error):
                raise
            say(error)
            self.refused = True
            sys.exit(1)  # Hydra would say it again, in lines of its own


def run_of_sweep(task: Task, config: DictConfig) -> bool:
    """One run of a sweep, and whether it ended well: why it failed goes to standard error.

    It is left in the run's directory as well, for the table of the sweep, until the run begins again.

    Raises:
        Stopped: by a signal.
    """
    folder = _here()
    try:
        note(folder, None)
        task(config)
    except Stopped as stop:
        place = "" if folder is None else f"in run {folder.name}, "
        raise Stopped(stop.number, f"{place}{stop.where}") from None
    except Exception as error:
        note(folder, say(error))
        return False
    return True


def say(error: Exception) -> str:
    """What is wrong, which goes to standard error, with a traceback where no line of words is known."""
    lines = in_one_line(error)
    if os.environ.get(FULL_ERROR) == "1" or not lines:
        traceback.print_exception(error)
    lines = lines or [f"an error of the program: {' '.join(traceback.format_exception_only(error)[-1].split())}"]
    print(*(f"error: {line}" for line in lines), sep="\n", file=sys.stderr)
    return "; ".join(lines)


def note(folder: Path | None, reason: str | None) -> None:
    """Leaves why a run failed in its directory, if it has one; None for one that begins again."""
    if folder is None:
        return
    with suppress(OSError):  # a full disk may be why it failed
        if reason is None:
            (folder / FAILED).unlink()
        else:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / FAILED, reason)


def _here() -> Path | None:
    hydra = HydraConfig.get()
    return None if hydra.output_subdir is None else Path(hydra.runtime.output_dir)


def run_directory(config: DictConfig) -> Path | None:
    """Where a run of a sweep writes; None where the command has no run directories."""
    if config.hydra.output_subdir is None:
        return None
    return Path(config.hydra.sweep.dir) / config.hydra.sweep.subdir


def stop_signals(config: DictConfig) -> list[str]:
    """The signals of a config that may be wrong, or have none; wrong ones are for the runs to complain of."""
    names = OmegaConf.select(config, "trainer.stop_signals", default=())
    return [name for name in names if name in STOPPING]
