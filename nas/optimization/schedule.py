"""Learning rates by epoch, as pure functions: nothing to save and nothing to step."""

import math
from abc import ABC, abstractmethod

from torch import Tensor
from torch.optim import Optimizer


class Schedule(ABC):
    """The learning rate of every epoch; the first `warmup_epochs` rise linearly to the initial rate instead."""

    def __init__(self, *, warmup_epochs: int = 0) -> None:
        self.warmup_epochs = warmup_epochs

    def rate(self, initial: float, epoch: int, epochs: int) -> float:
        """The rate of epoch 0 <= `epoch` < `epochs`."""
        if epoch < self.warmup_epochs:
            return initial * (epoch + 1) / self.warmup_epochs
        return self.decayed(initial, epoch, epochs)

    @abstractmethod
    def decayed(self, initial: float, epoch: int, epochs: int) -> float:
        """The rate after warm-up."""


class Cosine(Schedule):
    """final + (initial - final) * (1 + cos(pi * epoch / epochs)) / 2 (Loshchilov and Hutter, 2017)."""

    def __init__(self, *, final_rate: float = 0.0, warmup_epochs: int = 0) -> None:
        super().__init__(warmup_epochs=warmup_epochs)
        self.final_rate = final_rate

    def decayed(self, initial: float, epoch: int, epochs: int) -> float:
        return self.final_rate + (initial - self.final_rate) * (1 + math.cos(math.pi * epoch / epochs)) / 2


class Exponential(Schedule):
    """initial * factor^epoch (DARTS on ImageNet: factor 0.97)."""

    def __init__(self, *, factor: float = 0.97, warmup_epochs: int = 0) -> None:
        super().__init__(warmup_epochs=warmup_epochs)
        self.factor = factor

    def decayed(self, initial: float, epoch: int, epochs: int) -> float:
        return initial * self.factor**epoch


class Linear(Schedule):
    """Falls linearly to 0 over all but the last `tail_epochs`, which fall on at 1/tail_epochs of that (PC-DARTS)."""

    def __init__(self, *, tail_epochs: int = 5, warmup_epochs: int = 0) -> None:
        super().__init__(warmup_epochs=warmup_epochs)
        self.tail_epochs = tail_epochs

    def decayed(self, initial: float, epoch: int, epochs: int) -> float:
        steep = epochs - self.tail_epochs
        if epoch < steep:
            return initial * (steep - epoch) / steep
        return initial * (epochs - epoch) / (max(steep, 1) * self.tail_epochs)


def set_rate(optimizer: Optimizer, schedule: Schedule, epoch: int, epochs: int) -> float:
    """Gives every parameter group its rate of this epoch, from the rate that it was made with; returns the first.

    A rate that is a tensor stays the same tensor, which a recorded step reads.
    """
    rates = []
    for group in optimizer.param_groups:
        if "initial_lr" not in group:
            group["initial_lr"] = float(group["lr"])
        rates.append(schedule.rate(group["initial_lr"], epoch, epochs))
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rates[-1])
        else:
            group["lr"] = rates[-1]
    return rates[0]
