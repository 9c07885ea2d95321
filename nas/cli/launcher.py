"""Hydra's launcher of a sweep in which every run is a process of its own."""

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from nas.cli.arguments import overrides
from nas.cli.processes import end_all, ending
from nas.cli.run_process import SAID, Order, started
from nas.cli.signals import Stopped, StopSignals, tell
from nas.cli.sweeping import Job, note, run_directory, stop_signals
from nas.tracking.runs import FAILED

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """One that is under way."""

    name: str
    folder: Path | None
    process: BaseProcess


class ProcessLauncher(Launcher):
    """Runs `n_jobs` processes at a time, a run each. One that dies, of whatever cause, is one failed run.

    A signal that stops the sweep is told to all of them, and none follows.
    """

    def __init__(self, n_jobs: int) -> None:
        require_number(n_jobs)
        self.n_jobs = n_jobs
        self.running: list[Run] = []

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Takes what Hydra knows of the sweep."""
        assert isinstance(task_function, Job)
        self.hydra_context = hydra_context
        self.job = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs all of them, and returns nothing of theirs; the job counts those that failed."""
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        waiting = list(enumerate(job_overrides, initial_job_idx))
        with StopSignals(stop_signals(self.config), then=self._tell) as signals:
            try:
                while self.running or (waiting and not signals.heard):
                    if waiting and len(self.running) < self.n_jobs and not signals.heard:
                        self.running.append(self._start(*waiting.pop(0)))
                        if signals.heard:
                            self._tell(signals.heard)
                    else:
                        self._wait(signals)
            finally:
                end_all([run.process for run in self.running])
        if signals.heard:
            raise Stopped(signals.heard, "before all runs had ended")
        return [JobReturn(status=JobStatus.COMPLETED) for _ in job_overrides]

    def _start(self, number: int, overrides: Sequence[str]) -> Run:
        words = " ".join(filter_overrides(overrides))
        log.info(f"\t#{number} : {words}")
        config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        HydraConfig.instance().set_config(config)
        folder = run_directory(config)
        note(folder, None)
        order = Order(
            task=self.job.task,
            hydra=GlobalHydra.instance(),
            context=self.hydra_context,
            config=config,
            # several bars would write over each other
            environment={**os.environ, **({} if self.n_jobs == 1 else {"TQDM_DISABLE": "1"})},
            stop_signals=tuple(stop_signals(self.config)),
        )
        return Run(str(number) if folder is None else folder.name, folder, started(order))

    def _wait(self, signals: StopSignals) -> None:
        """Waits until one has ended, or several."""
        connection.wait([run.process.sentinel for run in self.running])
        ended = [run for run in self.running if run.process.exitcode is not None]
        for run in ended:
            self.running.remove(run)
            self._end(run, signals.heard)

    def _end(self, run: Run, heard: int) -> None:
        code = run.process.exitcode
        assert code is not None
        if code == 0 or (heard and code > 128):
            return
        self.job.failed += 1
        if code == SAID and (run.folder is None or (run.folder / FAILED).exists()):
            return
        further = "" if run.folder is None else "; resume=true goes on with it"
        print(f"error: run {run.name} {ending(code)}{further}", file=sys.stderr)
        note(run.folder, ending(code))

    def _tell(self, number: int) -> None:
        tell([run.process for run in self.running], number)


def require_number(n_jobs: object) -> None:
    """A ValueError for a number of runs at once that is none."""
    if type(n_jobs) is not int or n_jobs < 1:
        raise ValueError(f"hydra.launcher.n_jobs is {n_jobs!r}; give how many runs go on at once, a number from 1 on")


def launcher_mistakes(arguments: Sequence[str]) -> list[str]:
    """What is wrong with the words on the launcher, before a directory is made."""
    sweep = bool({"-m", "--multirun"} & {*arguments})
    for _, key, value in overrides(arguments):
        if key.startswith(("hydra/launcher", "hydra.launcher")) and not sweep:
            return [f"{key}={value} is of sweeps: add -m, or leave it out"]
        if key == "hydra.launcher.n_jobs":
            try:
                require_number(int(value) if value.isdecimal() else value)
            except ValueError as error:
                return [str(error)]
    return []


def register_launcher() -> None:
    """Makes it known to Hydra, by the name that conf/hydra/launcher has for it.

    Hydra takes launchers of the package hydra_plugins alone, and would import what is there in any of its programs.
    """
    Plugins.instance().class_name_to_class["hydra_plugins.nas.ProcessLauncher"] = ProcessLauncher
