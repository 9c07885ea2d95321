"""A small search and a small retraining that were left within an epoch, and what goes on from a file of theirs."""

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Parameter

from experiments.faults.originals import SKELETON, cell_space, checkpoint, genotype
from nas.cli.last_state import last_good_state_named
from nas.cli.resuming import Keeper, left_by, take_up
from nas.cli.rollback import epochs_of
from nas.cli.settings import Settings
from nas.cli.signals import StopSignals
from nas.cli.states import require_genotypes
from nas.optimization import Cosine, DiscreteLoss, Feed, FirstOrder, GradientSearch, Recipe, SearchProcess, Training
from nas.relaxation import Softmax
from nas.tracking import json_line

CPU = torch.device("cpu")
EPOCHS, STEPS, IMAGES = 3, 2, 4


class Left(BaseException):
    """A process was left after a step."""


class Noise:
    """Endless batches of noise, in epochs of STEPS."""

    def __init__(self) -> None:
        self.epoch = self.batch = 0

    def __next__(self) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(STEPS * self.epoch + self.batch)
        self.seek(self.epoch + (self.batch + 1) // STEPS, (self.batch + 1) % STEPS)
        return torch.rand(IMAGES, *SKELETON.image_shape, generator=generator), torch.arange(IMAGES) % 3

    def seek(self, epoch: int, batch: int) -> None:
        """Goes to a position; a ValueError for one that there is not."""
        if batch >= STEPS:
            raise ValueError(f"there is no batch {batch}; an epoch has {STEPS}")
        self.epoch, self.batch = epoch, batch


def _feed() -> Feed:
    return Feed(Noise(), STEPS, lambda: [next(Noise())])


def _recipe() -> Recipe:
    def optimizer(weights: Iterable[Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(weights, lr=0.1, momentum=0.9, weight_decay=3e-4)

    return Recipe(epochs=EPOCHS, batch_size=IMAGES, optimizer=optimizer, schedule=Cosine(), clip_norm=5.0)


def search() -> SearchProcess:
    """A search before its first step."""

    def adam(alphas: Iterable[Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(alphas, lr=0.01, betas=(0.5, 0.999))

    torch.manual_seed(0)
    method = GradientSearch(name="first_order", relaxation=Softmax(), bilevel=FirstOrder, arch_optimizer=adam)
    return method.start(cell_space(), SKELETON, _feed(), _feed(), _recipe(), CPU)


def retraining() -> Training:
    """A retraining before its first step."""
    torch.manual_seed(0)
    space = cell_space()
    network = space.network(genotype(space), SKELETON)
    return Training(network, _feed(), _recipe(), DiscreteLoss(F.cross_entropy), CPU, drop_path=0.1)


@functools.cache
def left(command: str) -> bytes:
    """`checkpoint.pt` of a run that was left after the first step of its second epoch."""
    process = search() if command == "search" else retraining()
    lines = [json_line(record.to_dict()) for record in _until(process, STEPS + 1)]
    return checkpoint(
        {
            "command": command,
            "settings": {},
            "genotype": genotype(cell_space()).to_dict(),
            "skeleton": asdict(SKELETON),
            "records": lines,
            "seconds": 1.5,
            "rollbacks": 0,
            "position": list(process.position),
            **process.state_dict(),
        }
    )


def go_on(command: str, make: Callable[[], Any], folder: Path) -> None:
    """What a command does with the checkpoint of a run directory, up to its next step."""
    found = left_by(command, folder, Settings())
    if found is None:
        return
    process = make()
    take_up(process, found.state, found.place)
    if command == "search":
        require_genotypes(cell_space(), found.records, found.place)
    signals, rollbacks = StopSignals([]), found.state["rollbacks"]
    keeper = Keeper(folder, None, dict, epoch=process.position[0], signals=signals, rollbacks=rollbacks)
    with last_good_state_named(folder):
        list(_until(process, 1, keeper))


def _until(process: Any, steps: int, keeper: Keeper | None = None) -> Iterator[Any]:
    """The records of a process that is left after so many steps."""
    done = 0

    def on_step() -> None:
        nonlocal done
        done += 1
        if done == steps:
            raise Left

    epochs = process.epochs(on_step) if keeper is None else epochs_of(process, keeper, on_step, "rollback")
    try:
        yield from epochs
    except Left:
        return
