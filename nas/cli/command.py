"""What the commands have in common: one Hydra job, and one clear line for every mistake of a person."""

import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from nas.cli.arguments import CONF, naming, normalized
from nas.cli.callbacks import RunDirectoryGuard, SweepSignals
from nas.cli.mistakes import Mistakes, find_mistakes, in_one_line
from nas.cli.resuming import going_on
from nas.cli.signals import Stopped
from nas.cli.sweeping import run_of_sweep
from nas.parallel import torchrun_seat
from nas.tracking.kept import NEWEST

Task = Callable[[DictConfig], None]

FULL_ERROR = "NAS_FULL_ERROR"
"""Keeps what the user set HYDRA_FULL_ERROR to, for this process and those of a sweep: 1 shows tracebacks."""


def run(
    config_name: str,
    task: Task,
    arguments: Sequence[str],
    *,
    further: Callable[[Sequence[str]], Sequence[str]] = lambda arguments: [],
) -> int:
    """Composes the config of a command from its arguments and runs `task` with it; returns the exit status.

    `further` gives arguments that follow from those of the person. Mistakes go to standard error, one line each, with
    status 1 and no traceback; HYDRA_FULL_ERROR=1 shows it. A run that a signal stopped says how to go on with it, with
    128 and the signal's number as status.
    """
    own = list(arguments)
    os.environ.setdefault(FULL_ERROR, os.environ.get("HYDRA_FULL_ERROR", "0"))
    try:
        arguments = [*arguments, *further(arguments)]
    except ValueError as error:
        return _report(error)
    if mistakes := find_mistakes(config_name, arguments):
        return _report(Mistakes(mistakes))
    OmegaConf.register_new_resolver("run_name", naming, replace=True)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # otherwise Hydra prints errors itself, over many lines
    sys.argv = [sys.argv[0], *normalized(arguments)]
    try:
        with _stopped_if_heard():
            hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(_job(task))()
    except Stopped as stop:
        print(f"{stop}{_kept()}; to go on: {_going_on(config_name, own)}", file=sys.stderr)
        return stop.status
    except BrokenProcessPool:
        if RunDirectoryGuard.entered is None:
            raise
        lost = "a process of the sweep was killed, the others were stopped; a lack of memory may be the reason"
        return _report(ValueError(f"{lost}; to go on: {_going_on(config_name, own)}"))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if os.environ[FULL_ERROR] == "1" or not in_one_line(error):
            raise
        return _report(error)
    finally:
        SweepSignals.leave()
        RunDirectoryGuard.leave()
    return 0


def _job(task: Task) -> Task:
    """The task, with a person's mistakes reported; one that fails within a sweep lets the others run."""

    @functools.wraps(task)
    def job(config: DictConfig) -> None:
        tracebacks, told = os.environ.get(FULL_ERROR) == "1", HydraConfig.get()
        sweep = told.mode == RunMode.MULTIRUN
        if sweep and "sweep_summary" in told.callbacks:
            run_of_sweep(task, config, tracebacks=tracebacks)
            return
        try:
            task(config)
        except Exception as error:
            if tracebacks or not in_one_line(error):
                raise
            status = _report(error)
            if not sweep:
                sys.exit(status)

    return job


@contextmanager
def _stopped_if_heard() -> Iterator[None]:
    """What a signal did to joblib's processes is no failure of a sweep that heard it as well."""
    try:
        yield
    except (KeyboardInterrupt, BrokenProcessPool):
        SweepSignals.require_silence()
        raise


def _kept() -> str:
    """That a run has kept nothing yet, where that is so."""
    assert RunDirectoryGuard.entered is not None
    key, folder = RunDirectoryGuard.entered
    empty = key == "hydra.run.dir" and not (folder / NEWEST).exists()
    return ", nothing is kept yet" if empty else ""


def _going_on(config_name: str, arguments: Sequence[str]) -> str:
    assert RunDirectoryGuard.entered is not None
    seat = torchrun_seat()
    command = "python" if seat is None else f"torchrun --nproc-per-node={seat.size}"
    return going_on(f"{command} -m nas.{config_name}", arguments, *RunDirectoryGuard.entered)


def _report(error: Exception) -> int:
    for line in in_one_line(error):
        print(f"error: {line}", file=sys.stderr)
    return 1
