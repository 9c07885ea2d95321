"""Where the time of an epoch goes: searches as `python -m nas.search` runs them, watched from outside."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from hydra.core.global_hydra import GlobalHydra

import nas.cli.search_log
import nas.search
from experiments.speed.stopwatch import OTHER, Place, Stopwatch, watched
from nas.cli.resuming import Keeper
from nas.cli.search_job import Parts
from nas.cli.search_log import SearchLog
from nas.data.pixels import PixelStream
from nas.optimization import BilevelOptimizer
from nas.optimization.measure import Meter

STEPS, VALIDATION, DATA, METERS = "steps", "validation", "data", "meters"
DRAWING, CHECKPOINT, LOGGING = "drawing", "checkpoint", "logging"
PARTS: dict[str, Sequence[Place]] = {
    STEPS: [(BilevelOptimizer, "arch_step"), (BilevelOptimizer, "weight_step")],
    VALIDATION: [(import_module("nas.optimization.search"), "evaluate")],
    DATA: [(PixelStream, "__next__")],
    METERS: [(Meter, "add")],
    DRAWING: [(nas.cli.search_log, name) for name in ("heat_map", "write_picture", "animation")],
    CHECKPOINT: [(Keeper, "keep")],
    LOGGING: [(SearchLog, "epoch"), (SearchLog, "finish")],
}
"""`meters` sum up losses and hits; `logging` is what a search writes down besides its pictures and its checkpoint."""

COLUMNS = (*PARTS, OTHER)
ONCE = (DRAWING, CHECKPOINT, LOGGING, OTHER)
"""What an epoch pays for once, however many steps it has."""

PUBLISHED_SETTINGS = ("darts", "pc_darts")
"""Spaces whose search on CIFAR-10 is a named experiment."""

SHORT = 4  # steps of an epoch on images of the size of CIFAR-10's
CIFAR10 = 25_000  # images of an epoch


@dataclass(frozen=True)
class Epochs:
    """The seconds of a search by part: of each epoch, and after the last.

    `steps` are those of the epochs that were run, `whole` those of an epoch on the whole data set.
    """

    search: str
    batch: int
    steps: int
    whole: int
    epochs: Sequence[dict[str, float]]
    end: dict[str, float]

    @property
    def typical(self) -> dict[str, float]:
        """The median of each part over the epochs but the first, which also pays for what is done once a process."""
        return {part: median(epoch.get(part, 0.0) for epoch in self.epochs[1:]) for part in COLUMNS}

    @property
    def outside(self) -> float:
        """The share of a whole epoch that is neither steps nor validation, from the costs of a step and of an epoch."""
        scale = {part: 1.0 if part in ONCE else self.whole / self.steps for part in COLUMNS}
        seconds = {part: scale[part] * value for part, value in self.typical.items()}
        return 1 - (seconds[STEPS] + seconds[VALIDATION]) / sum(seconds.values())


def on_digits(space: str, epochs: int, words: Sequence[str], settle: Callable[[], object]) -> Epochs:
    """The default search."""
    return _watched(f"{space}, digits", [f"+space={space}", *words], epochs, whole=None, settle=settle)


def on_cifar10(
    space: str, epochs: int, words: Sequence[str], settle: Callable[[], object], *, batch: int, image_size: int = 32
) -> Epochs:
    """The search of the paper on a few random images in colour, of the size of CIFAR-10's."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "images.npz")
        random = np.random.default_rng(0)
        count = 2 * SHORT * batch  # half of them to train with
        images = random.integers(0, 256, (count, image_size, image_size, 3), dtype=np.uint8)
        labels = np.arange(count) % 10
        np.savez(file, x_train=images, y_train=labels, x_test=images[:10], y_test=labels[:10])
        given = [f"+experiment={space}_cifar10", "data=npz", f"data.root={file}", "data.padding=4", "data.flip=true"]
        given += [f"trainer.batch_size={batch}", *words]
        return _watched(f"{space}, as CIFAR-10", given, epochs, whole=CIFAR10 // batch, settle=settle)


def _watched(
    name: str, words: Sequence[str], epochs: int, *, whole: int | None, settle: Callable[[], object]
) -> Epochs:
    assert epochs > 1
    watch, readings, parts = Stopwatch(settle=settle), [], []
    kept, made = Keeper.keep, nas.search.parts_of

    def keep(keeper: Keeper) -> None:
        """What an epoch does last; as short as these are, they keep nothing between their steps."""
        kept(keeper)
        readings.append(watch.read())

    def make(*arguments: Any) -> Parts:
        parts.append(made(*arguments))
        readings.append(watch.read())
        return parts[0]

    with patch.object(Keeper, "keep", keep), patch.object(nas.search, "parts_of", make), watched(PARTS, watch):
        _search([*words, f"trainer.epochs={epochs}"])
    readings.append(watch.read())
    *each, end = [_difference(later, earlier) for earlier, later in pairwise(readings)]
    steps = parts[0].steps_per_epoch
    return Epochs(name, parts[0].process.recipe.batch_size, steps, whole or steps, each, end)


def _difference(later: dict[str, float], earlier: dict[str, float]) -> dict[str, float]:
    return {part: seconds - earlier.get(part, 0.0) for part, seconds in later.items()}


def _search(words: Sequence[str]) -> None:
    """`python -m nas.search WORDS`, in a folder that is removed; the process is then as before."""
    threads, log = torch.get_num_threads(), logging.getLogger()
    handlers, level = log.handlers[:], log.level
    with TemporaryDirectory() as folder, patch.object(sys, "argv", ["nas.search"]), patch.dict(os.environ):
        sys.argv += [*words, f"hydra.run.dir={folder}/run"]
        try:
            with redirect_stdout(sys.stderr):
                status = nas.search.main()
        finally:
            torch.set_num_threads(threads)
            log.handlers[:], log.level = handlers, level
            GlobalHydra.instance().clear()
    if status:
        raise RuntimeError(f"the search of {' '.join(words)} failed")
