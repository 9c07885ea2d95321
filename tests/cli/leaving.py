"""Leaving a command on its way, without the seconds that a process of its own would take."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

import nas.retrain
import nas.search
from nas.cli.resuming import Keeper


class Left(BaseException):
    """The command was left; as with a signal that kills, nothing more is written."""


@contextmanager
def left_after(steps: int) -> Iterator[None]:
    """The command in this block is left after so many of its steps."""
    keep, done = Keeper.after_step, 0

    def after_step(keeper: Keeper, step: int) -> None:
        nonlocal done
        keep(keeper, step)
        done += 1
        if done == steps:
            raise Left

    with pytest.raises(Left), patch.object(Keeper, "after_step", after_step):
        yield


@contextmanager
def left_before_a_checkpoint() -> Iterator[None]:
    """The command in this block is left when it has written down an epoch, but nothing of its state."""

    def keep(keeper: Keeper) -> None:
        raise Left

    with pytest.raises(Left), patch.object(Keeper, "after_step", lambda *_: None), patch.object(Keeper, "keep", keep):
        yield


@contextmanager
def left_before_the_summary() -> Iterator[None]:
    """The command in this block is left when all is done but its summary."""

    def write_summary(folder: Path, summary: object) -> None:
        raise Left

    searched, retrained = (patch.object(module, "write_summary", write_summary) for module in (nas.search, nas.retrain))
    with pytest.raises(Left), searched, retrained:
        yield
