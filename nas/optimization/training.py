"""Training of discrete networks."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from nas.optimization.feed import Feed
from nas.optimization.measure import Meter, require_finite
from nas.optimization.objective import Batch, Criterion, at_least_float32
from nas.optimization.recipe import Recipe
from nas.optimization.schedule import set_rate
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
    on_step: Callable[[], None] = lambda: None,
) -> Iterator[TrainingRecord]:
    """Yields one record an epoch; drop path rises as `drop_path` * epoch / epochs.

    Raises:
        NonFiniteLossError: a loss that is NaN or infinite at an epoch's end.
    """
    for epoch in range(recipe.epochs):
        start = time.perf_counter()
        set_drop_path(network, drop_path * epoch / recipe.epochs)
        set_rate(optimizer, recipe.schedule, epoch, recipe.epochs)
        network.train()
        meter = Meter()
        for _ in range(feed.steps):
            batch = next(feed.stream)
            meter.add(*_step(network, batch, recipe, optimizer, loss), batch[1])
            on_step()
        train_loss, train_accuracy = meter.read()
        require_finite(epoch, training_loss=train_loss)
        yield TrainingRecord(epoch, train_loss, train_accuracy, time.perf_counter() - start)


def _step(
    network: DiscreteNetwork, batch: Batch, recipe: Recipe, optimizer: torch.optim.Optimizer, loss: DiscreteLoss
) -> tuple[Tensor, Tensor]:
    images, labels = batch
    with torch.autocast(images.device.type, dtype=recipe.autocast, enabled=recipe.autocast is not None):
        logits = network.training_logits(images)
    total, main = loss(logits, labels)
    optimizer.zero_grad()
    total.backward()
    if recipe.clip_norm is not None:
        torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)
    optimizer.step()
    return main, logits[0].detach()
