"""What the commands have in common: one Hydra job, and one clear line for every mistake of a person."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import hydra
from hydra.core.global_hydra import GlobalHydra

from nas.cli.arguments import CONF, normalized, one_run, register_naming
from nas.cli.callbacks import RunDirectoryGuard, SweepSignals
from nas.cli.launcher import launcher_mistakes, register_launcher
from nas.cli.mistakes import Mistakes, find_mistakes, in_one_line
from nas.cli.resuming import going_on
from nas.cli.signals import Stopped
from nas.cli.sweeping import FULL_ERROR, Job, Task
from nas.parallel import torchrun_seat
from nas.tracking.kept import NEWEST


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
    own, job = list(arguments), Job(task)
    os.environ.setdefault(FULL_ERROR, os.environ.get("HYDRA_FULL_ERROR", "0"))
    try:
        arguments = [*arguments, *further(arguments)]
    except ValueError as error:
        return _report(error)
    words = normalized(arguments)
    alone = one_run(words)
    if mistakes := launcher_mistakes(arguments) or find_mistakes(config_name, arguments, alone=alone):
        return _report(Mistakes(mistakes))
    register_naming()
    register_launcher()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # otherwise Hydra prints errors itself, over many lines
    sys.argv = [sys.argv[0], *words]
    try:
        with _stopped_if_heard():
            if alone:
                _run_once(config_name, job, words)
            else:
                hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(job)()
    except Stopped as stop:
        print(f"{stop}{_kept()}; to go on: {_going_on(config_name, own)}", file=sys.stderr)
        return stop.status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if os.environ[FULL_ERROR] == "1" or not in_one_line(error):
            raise
        return _report(error)
    finally:
        SweepSignals.leave()
        (RunDirectoryGuard.withdraw if job.refused else RunDirectoryGuard.leave)()
    return 1 if job.failed else 0


def _run_once(config_name: str, job: Job, words: Sequence[str]) -> None:
    """What hydra.main does for one run, without composing the config once more to learn that it is one."""
    with hydra.initialize_config_dir(str(CONF), job_name=config_name, version_base="1.3"):
        started = GlobalHydra.instance().hydra
        assert started is not None
        started.run(config_name, job, overrides=[*words, "hydra.mode=RUN"])


@contextmanager
def _stopped_if_heard() -> Iterator[None]:
    """An error after a sweep heard a signal is a consequence: configs that are cut off while they are made fail so."""
    try:
        yield
    except Exception:
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
