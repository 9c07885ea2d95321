"""Training of discrete networks."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from nas.optimization.feed import Feed
from nas.optimization.loading import load_module, load_optimizer
from nas.optimization.objective import Batch, Criterion, at_least_float32
from nas.optimization.progress import Progress, random_states, set_random_states
from nas.optimization.recipe import Recipe
from nas.optimization.schedule import set_rate
from nas.optimization.skipping import Measured, skipping_step
from nas.space import DiscreteNetwork, set_drop_path


@dataclass(frozen=True)
class TrainingRecord:
    """What one epoch of training says of itself, in the units of a search; the loss is without auxiliary heads."""

    epoch: int
    train_loss: float
    train_accuracy: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data with the fields in their order."""
        return asdict(self)


@dataclass(frozen=True)
class DiscreteLoss:
    """criterion(logits) + auxiliary_weight * sum of criterion(auxiliary logits) (Liu et al., 2019: 0.4)."""

    criterion: Criterion
    auxiliary_weight: float = 0.4

    def __call__(self, logits: tuple[Tensor, ...], labels: Tensor) -> tuple[Tensor, Tensor]:
        """(whole loss, loss of the network's own logits)."""
        main, *auxiliary = (self.criterion(at_least_float32(one), labels) for one in logits)
        return main + self.auxiliary_weight * sum(auxiliary, torch.zeros_like(main)), main.detach()


def train(
    network: DiscreteNetwork,
    feed: Feed,
    recipe: Recipe,
    optimizer: torch.optim.Optimizer,
    loss: DiscreteLoss,
    *,
    drop_path: float = 0.0,
    progress: Progress | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> Iterator[TrainingRecord]:
    """Yields one record an epoch; drop path rises as `drop_path` * epoch / epochs.

    It begins where `progress` stands, by default at the first step of all, and moves it before `on_step` and before
    each record.

    Raises:
        NonFiniteLossError: a loss or weights that are NaN or infinite; on the CPU at the step, on a GPU at the epoch's
            end. With `recipe.skips` an epoch of such steps alone.
    """
    progress = Progress(late=next(network.parameters()).device.type != "cpu") if progress is None else progress
    while (epoch := progress.epoch) < recipe.epochs:
        start = time.perf_counter()
        set_drop_path(network, drop_path * epoch / recipe.epochs)
        set_rate(optimizer, recipe.schedule, epoch, recipe.epochs)
        network.train()
        while progress.step < feed.steps:
            batch = next(feed.stream)
            progress.add(_step(network, batch, recipe, optimizer, loss, progress.next_step), batch[1])
            on_step()
        progress.require_finite(network.parameters())
        train_loss, train_accuracy = progress.measured()
        progress.end_epoch()
        yield TrainingRecord(epoch, train_loss, train_accuracy, time.perf_counter() - start)


class Training:
    """The training of a discrete network, as `train` does it, which can be left between any two steps."""

    def __init__(
        self,
        network: DiscreteNetwork,
        feed: Feed,
        recipe: Recipe,
        loss: DiscreteLoss,
        device: torch.device,
        *,
        drop_path: float = 0.0,
    ) -> None:
        self.network = network
        self.feed = feed
        self.recipe = recipe
        self.loss = loss
        self.device = device
        self.drop_path = drop_path
        self.optimizer = recipe.optimizer(network.parameters())
        self.progress = Progress(late=device.type != "cpu")

    @property
    def position(self) -> tuple[int, int]:
        """The epoch and the step of it that come next, from 0."""
        return self.progress.epoch, self.progress.step

    def epochs(self, on_step: Callable[[], None]) -> Iterator[TrainingRecord]:
        """Trains from where it stands to its last epoch."""
        given = self.network, self.feed, self.recipe, self.optimizer, self.loss
        yield from train(*given, drop_path=self.drop_path, progress=self.progress, on_step=on_step)

    def state_dict(self) -> dict[str, Any]:
        """All that decides the steps to come, as tensors and plain data.

        Raises:
            NonFiniteLossError: it is of no use, because a loss or weights are NaN or infinite.
        """
        self.progress.require_finite(self.network.parameters())
        return {
            "weights": self.network.state_dict(),
            "weight_optimizer": self.optimizer.state_dict(),
            "progress": self.progress.state_dict(),
            "stream": self.feed.state_dict(),
            "random": random_states(self.device),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from `state_dict`, to the bit."""
        load_module(self.network, state["weights"], "weights")
        load_optimizer(self.optimizer, state["weight_optimizer"], "weight_optimizer")
        self.progress.load_state_dict(state["progress"])
        self.feed.load_state_dict(state["stream"])
        set_random_states(state["random"], self.device)

    def roll_back(self, state: Mapping[str, Any]) -> None:
        """Takes up a state of its own, but goes on with the batches that come next now."""
        self.load_state_dict({**state, "stream": self.feed.state_dict()})

    def try_step(self, rows: int) -> None:
        """A step on the first rows of a batch; torch's OutOfMemoryError where it does not fit."""
        self.network.train()
        _step(self.network, self.feed.next_rows(rows), self.recipe, self.optimizer, self.loss, "")


def _step(
    network: DiscreteNetwork,
    batch: Batch,
    recipe: Recipe,
    optimizer: torch.optim.Optimizer,
    loss: DiscreteLoss,
    where: str,
) -> Measured | None:
    """A step of the weights; None where `recipe.skips` one whose loss or gradient is not finite."""

    def gradients() -> Measured:
        images, labels = batch
        with torch.autocast(images.device.type, dtype=recipe.autocast, enabled=recipe.autocast is not None):
            logits = network.training_logits(images)
        total, main = loss(logits, labels)
        optimizer.zero_grad()
        total.backward()
        return main, logits[0].detach()

    def move() -> None:
        if recipe.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)
        optimizer.step()

    if recipe.skips:
        return skipping_step(gradients, move, network.parameters(), network.buffers(), where)
    measured = gradients()
    move()
    return measured
