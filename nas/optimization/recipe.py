"""How a network is trained: the part of the settings that search and retraining share."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch.nn import Parameter
from torch.optim import Optimizer

from nas.optimization.schedule import Schedule


@dataclass(frozen=True)
class Recipe:
    """Epochs, batches, weight optimizer and precision.

    Attributes:
        batch_size: images a step, those of all ranks together.
        optimizer: makes the weight optimizer from the weights.
        clip_norm: largest norm of the whole weight gradient, or None.
        cutout: side of the square that augmentation cuts out, in pixels; 0 cuts nothing.
        autocast: dtype of automatic mixed precision, or None for float32.
        skips: whether a step whose loss or gradient is not finite changes nothing, or ends the training.
        sync_batch_norm: whether several ranks take the statistics of a batch together, or each those of its own rows.

    Raises:
        ValueError: epochs or a batch size below 1.
    """

    epochs: int
    batch_size: int
    optimizer: Callable[[Iterable[Parameter]], Optimizer]
    schedule: Schedule
    clip_norm: float | None = None
    cutout: int = 0
    autocast: torch.dtype | None = None
    sync_batch_norm: bool = False
    skips: bool = False

    def __post_init__(self) -> None:
        for field in ("epochs", "batch_size"):
            if getattr(self, field) < 1:
                raise ValueError(f"trainer.{field} is {getattr(self, field)}; give at least 1")
