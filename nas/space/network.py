"""What every discrete network does, and the regularization that only its training uses."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class DiscreteNetwork(nn.Module, ABC):
    """A network without choices: what a genotype describes and what is retrained, costed and exported."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, C, H, W)."""

    @abstractmethod
    def training_logits(self, x: Tensor) -> tuple[Tensor, ...]:
        """The logits, then those of every auxiliary head."""


class DropPath(nn.Module):
    """y = x / (1 - p) * m in training, with one m ~ Bernoulli(1 - p) for each image (FractalNet, Larsson et al., 2017).

    `probability` is p; a schedule may change it between epochs by `set_drop_path`. In evaluation y = x.

    Raises:
        ValueError: p outside [0, 1).
    """

    def __init__(self, probability: float = 0.0) -> None:
        super().__init__()
        self.probability = _checked(probability)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.probability == 0.0:
            return x
        keep = 1.0 - self.probability
        mask = torch.empty(x.shape[0], 1, 1, 1, device=x.device, dtype=x.dtype).bernoulli_(keep)
        return x / keep * mask


def set_drop_path(network: nn.Module, probability: float) -> None:
    """Sets the probability of every `DropPath` in a network; a ValueError for one outside [0, 1)."""
    for module in network.modules():
        if isinstance(module, DropPath):
            module.probability = _checked(probability)


def has_drop_path(network: nn.Module) -> bool:
    """Whether `set_drop_path` changes anything in a network."""
    return any(isinstance(module, DropPath) for module in network.modules())


def _checked(probability: float) -> float:
    if not 0 <= probability < 1:
        raise ValueError(f"the probability of drop path is {probability}; give one in [0, 1)")
    return probability
