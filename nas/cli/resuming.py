"""Runs that go on from where they were left."""

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nas.cli.arguments import overrides
from nas.cli.progress import shown
from nas.cli.sameness import require_settings
from nas.cli.settings import Settings
from nas.cli.signals import Stopped, StopSignals
from nas.cli.states import require_run
from nas.optimization import out_of_memory
from nas.parallel import ALONE, Ranks
from nas.reading import one_line
from nas.tracking import NEWEST, keep_checkpoint, load_checkpoint, newest_checkpoint, remove_unfinished


class Process(Protocol):
    """A search or a training."""

    @property
    def position(self) -> tuple[int, int]:
        """The epoch and the step of it that come next."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a state."""


@dataclass(frozen=True)
class Left:
    """What an interrupted run left: the checkpoint that it goes on from, and its state."""

    place: Path
    state: dict[str, Any]

    @property
    def records(self) -> list[str]:
        """The lines of its epochs, as they stand in the record of the run."""
        return self.state["records"]

    def finished(self, epochs: int) -> bool:
        """Whether nothing is left to do in so many epochs."""
        return len(self.records) >= epochs and (self.place.parent / "summary.json").is_file()


def left_by(command: str, folder: Path, settings: Settings) -> Left | None:
    """What the run in a folder left, or None where it has kept nothing yet.

    Half-written files are removed, and a damaged newest checkpoint in favour of the one before.

    Raises:
        ValueError: the folder of another command, a checkpoint that cannot be gone on from, or settings that matter and
            are not those that the run began with.
    """
    remove_unfinished(folder)
    found = newest_checkpoint(folder)
    if found is None:
        return None
    place, state = found
    try:
        require_run(state)
    except ValueError as error:
        raise ValueError(
            f"resume=true: {place} is not the checkpoint of a run that can be gone on with ({error}); begin a new one"
        ) from None
    if state["command"] != command:
        raise ValueError(
            f"resume=true: {shown(folder)} holds a run of nas.{one_line(state['command'])}, and this is nas.{command}; "
            "give another hydra.run.dir"
        )
    require_settings(state["settings"], settings.model_dump(), folder)
    newest = folder / NEWEST
    if place != newest:  # a damaged one there would take its place when the next is kept
        os.replace(place, newest)
    return Left(newest, state)


def take_up(process: Process, state: Mapping[str, Any], place: Path) -> None:
    """Loads a state; a ValueError that names its place for one that does not fit, whatever is wrong with it."""
    try:
        process.load_state_dict(state)
        if process.position != tuple(state["position"]):
            raise ValueError(f"it stands at {list(process.position)}, and says {state['position']}")
    except ValueError as error:
        raise ValueError(f"resume=true: {place} does not fit this run: {one_line(error)}") from error
    except (LookupError, TypeError, AttributeError, RuntimeError, AssertionError) as error:
        if out_of_memory(error):
            raise
        raise ValueError(f"resume=true: {place} does not fit this run ({one_line(error)}); begin a new one") from error


def going_on(command: str, arguments: Sequence[str], key: str, folder: Path) -> str:
    """The words to type that go on with a run or a sweep in `folder`, which is the value of `key`."""
    kept = [word for word in arguments if next((name for _, name, _ in overrides([word])), "") not in (key, "resume")]
    words = [*command.split(), *kept, f"{key}={shown(folder)}", "resume=true"]
    return " ".join(map(shlex.quote, words))


class Keeper:
    """Keeps the state of a run: every `every` steps of an epoch, at the epoch's end, and when a signal stops it.

    `epoch` is the one that comes next. All ranks call the same methods: `state` is that of all, which the first writes,
    and a signal that one of them heard stops all after the same step. `rollbacks` counts those since the last finished
    epoch, and is kept too.
    """

    def __init__(
        self,
        folder: Path,
        every: int | None,
        state: Callable[[], dict[str, Any]],
        *,
        epoch: int,
        signals: StopSignals,
        ranks: Ranks = ALONE,
        rollbacks: int = 0,
    ) -> None:
        self.folder = folder
        self.every = every
        self.state = state
        self.epoch = epoch
        self.signals = signals
        self.ranks = ranks
        self.rollbacks = rollbacks

    def after_step(self, step: int) -> None:
        """After so many steps of an epoch; raises Stopped if a signal was heard."""
        number = self.ranks.highest(self.signals.heard)
        if number or (self.every is not None and step % self.every == 0):
            self.keep()
        if number:
            raise Stopped(number, f"in epoch {self.epoch} after step {step}")

    def after_epoch(self) -> None:
        """After all of an epoch; raises Stopped if a signal was heard."""
        self.keep()
        self.epoch += 1
        if number := self.ranks.highest(self.signals.heard):
            raise Stopped(number, f"after epoch {self.epoch - 1}")

    def keep(self) -> None:
        """Writes the state as it is now."""
        state = {**self.state(), "rollbacks": self.rollbacks}
        if self.ranks.rank == 0:
            keep_checkpoint(self.folder, state)

    def last_state(self) -> dict[str, Any] | None:
        """What was kept last, by this run or the one that it goes on from; None where there is none."""
        newest = self.folder / NEWEST
        return load_checkpoint(newest) if newest.exists() else None
