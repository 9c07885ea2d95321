"""What happens around the jobs of a command."""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nas.cli.links import require_no_links, written_in_run, written_in_sweep
from nas.cli.mistakes import Mistakes, checked
from nas.cli.signals import Stopped, StopSignals
from nas.cli.sweeping import say, stop_signals
from nas.tracking.formats import to_markdown, write_table
from nas.tracking.lock import NAME, Lock
from nas.tracking.runs import collect
from nas.tracking.table import tabulate

TRACES = ("search.jsonl", "train.jsonl", "summary.json", "checkpoint.pt", "checkpoint.before.pt", "multirun.yaml")
"""Files that show that a directory holds a run or a sweep."""
RECORD, RECORDED = ".hydra", ("config.yaml", "hydra.yaml", "overrides.yaml")
"""What Hydra writes into the directory of a run before it begins."""


class RunDirectoryGuard(Callback):
    """Refuses a directory that holds a run or links to elsewhere, or that another process writes to.

    It does so before Hydra writes into it. With `resume=true` a directory with a run is what is wanted. What it locks
    stays so until `leave`.
    """

    held: ClassVar[list[Lock]] = []
    entered: ClassVar[tuple[str, Path] | None] = None
    """The key of the directory, and the directory."""
    made: ClassVar[bool] = False
    """Whether it was not there before."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.run.dir)
        written = written_in_run(folder, config.hydra.output_subdir)
        self._enter(folder, "hydra.run.dir", written, resume=config.resume)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        written = written_in_sweep(folder, config.hydra.output_subdir)
        self._enter(folder, "hydra.sweep.dir", written, resume=config.resume)

    @classmethod
    def leave(cls) -> None:
        """Lets others into all directories that this process has entered."""
        cls.entered, cls.made = None, False
        while cls.held:
            cls.held.pop().release()

    @classmethod
    def withdraw(cls) -> None:
        """As `leave`, and removes the directory of a run that was made here and holds nothing but Hydra's record."""
        key, folder = cls.entered or ("", Path())
        record = {folder / RECORD / name for name in RECORDED}
        ours = {folder / NAME, folder / RECORD, *record}
        with suppress(OSError):  # what cannot be removed stays, and so does a folder with anything else
            if cls.made and key == "hydra.run.dir" and {*folder.rglob("*")} == ours:
                for path in record:
                    path.unlink()
                (folder / RECORD).rmdir()
                cls.leave()
                folder.rmdir()
        cls.leave()

    def _enter(self, folder: Path, key: str, written: Iterable[Path], *, resume: bool) -> None:
        found = [name for name in TRACES if (folder / name).exists()]
        if found and resume is not True:
            _refuse(
                ValueError(
                    f"{folder} already holds a run ({', '.join(found)}): go on with it by resume=true, give another "
                    f"{key}, or move it away"
                )
            )
        lock, there = Lock(folder), os.path.lexists(folder)
        try:
            require_no_links([lock.path, *written])
            lock.take()
        except (ValueError, OSError) as error:
            _refuse(error)
        self.held.append(lock)
        type(self).entered, type(self).made = (key, folder), not there


class SettingsGuard(Callback):
    """Refuses a run by all that is wrong with its settings, before Hydra writes into its directory.

    The runs of a sweep check themselves.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        settings = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        with suppress(OmegaConfBaseException):  # what cannot be resolved ends the run in words of its own
            try:
                checked(kwargs["config_name"], OmegaConf.to_container(settings, resolve=True))
            except Mistakes as mistakes:
                _refuse(mistakes)


class SweepSignals(Callback):
    """Ends a sweep in good order by a signal that comes between its runs; it hears them until `leave`."""

    signals: ClassVar[StopSignals | None] = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        type(self).signals = StopSignals(stop_signals(config), where="before the next step").__enter__()

    @classmethod
    def require_silence(cls) -> None:
        """Raises Stopped if a signal was heard."""
        if cls.signals is not None and cls.signals.heard:
            raise Stopped(cls.signals.heard, cls.signals.where)

    @classmethod
    def leave(cls) -> None:
        """Signals do what they did before."""
        if cls.signals is not None:
            cls.signals.__exit__(None, None, None)
            cls.signals = None


class SweepSummary(Callback):
    """Ends a sweep with its table: on screen, as `summary.md` and as `summary.csv`; status 1 if a run failed."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        table = tabulate(collect([folder]))
        write_table(folder, table)
        print(f"\n{to_markdown(table)}\nwritten to {folder}/summary.md and summary.csv")
        if table.left_out:
            sys.exit(1)


def _refuse(error: ValueError | OSError) -> NoReturn:
    # Hydra turns exceptions of callbacks into warnings, but lets an exit pass
    say(error)
    sys.exit(1)
