"""Runs that go on from where they were left."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.cli.progress import shown
from nas.cli.settings import Settings
from nas.tracking import NEWEST, keep_checkpoint, load_checkpoint, newest_checkpoint

FREE = ("resume", "trainer.checkpoint_steps", "trainer.on_nan", "data.root", "data.workers")
"""Settings that change no bit of what is computed while losses are finite: where the data lies, what is kept."""


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

    Raises:
        ValueError: the folder of another command, a checkpoint that cannot be gone on from, or settings that matter and
            are not those that the run began with.
    """
    found = newest_checkpoint(folder)
    if found is None:
        return None
    place, state = found
    if state.get("command") != command:
        began = state.get("command", "an older version of this program")
        raise ValueError(f"resume=true: {shown(folder)} holds a run of {began}, and this is {command}")
    require_settings(state["settings"], settings.model_dump(), folder)
    return Left(place, state)


def require_settings(began: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """A ValueError with every setting that matters and that is not the one of the run in `folder`."""
    old, new = flat(began), flat(now)
    differing = [
        f"{key} was {old.get(key, 'not there')} and is {new.get(key, 'not there')}"
        for key in sorted(old.keys() | new.keys())
        if key not in FREE and old.get(key, ...) != new.get(key, ...) and not _grown(key, old, new)
    ]
    if differing:
        raise ValueError(
            f"resume=true goes on with the settings that {shown(folder)} began with, but {'; '.join(differing)}: give "
            "those, or another hydra.run.dir"
        )


def without_resume(overrides: Iterable[str]) -> tuple[str, ...]:
    """The words of a command that say what a run computes."""
    return tuple(word for word in overrides if not word.lstrip("+").startswith("resume="))


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of a nested mapping by their dotted keys."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return found


def _grown(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return key == "trainer.epochs" and old[key] < new[key]


class Keeper:
    """Keeps the state of a run: every `every` steps of an epoch, and when it is told to.

    `state` is called on every rank, because it is that of all; `write` says whether this one writes it. `left` is the
    checkpoint that the run goes on from. `rollbacks` counts those since the last finished epoch, and is kept too.
    """

    def __init__(
        self,
        folder: Path,
        every: int | None,
        state: Callable[[], dict[str, Any]],
        *,
        write: bool,
        left: Path | str | None = None,
    ) -> None:
        self.folder = folder
        self.every = every
        self.state = state
        self.write = write
        self.last = None if left is None else Path(left)
        self.rollbacks: int = 0 if left is None else load_checkpoint(left)["rollbacks"]

    def after_step(self, step: int) -> None:
        """After so many steps of an epoch."""
        if self.every is not None and step % self.every == 0:
            self.keep()

    def keep(self) -> None:
        """Writes the state as it is now."""
        state = {**self.state(), "rollbacks": self.rollbacks}
        self.last = self.folder / NEWEST
        if self.write:
            keep_checkpoint(self.folder, state)

    def last_state(self) -> dict[str, Any] | None:
        """What was kept last, by this run or the one that it goes on from; None where there is none."""
        return None if self.last is None or not self.last.exists() else load_checkpoint(self.last)
