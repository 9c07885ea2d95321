"""How a search divides the training set between weights and architecture parameters."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from nas.data.samples import Samples

ROUNDING = 1e-9  # .7 + .3 and 10 * .3 are not exact in floating point


class Split(ABC):
    """Two disjoint parts of a set of samples, given as fractions of it: `train` for weights, `valid` for alphas.

    Raises:
        ValueError: fractions outside (0, 1] or with a sum above 1; when called, a part that would be empty.
    """

    def __init__(self, *, train: float = 0.5, valid: float = 0.5) -> None:
        for part, fraction in (("train", train), ("valid", valid)):
            if not 0 < fraction <= 1:
                raise ValueError(f"data.split.{part} {fraction} is not a fraction of the images; choose one in (0, 1]")
        if train + valid > 1 + ROUNDING:
            raise ValueError(
                f"data.split.train {train} and data.split.valid {valid} overlap: their sum may be at most 1"
            )
        self.train = train
        self.valid = valid

    def __call__(self, samples: Samples) -> tuple[Samples, Samples]:
        """(train, valid), both of the kind of `samples`."""
        chosen = self.indices(samples.labels)
        for part, indices in zip(("train", "valid"), chosen, strict=True):
            if len(indices) == 0:
                raise ValueError(
                    f"data.split leaves no images for {part} out of {len(samples)}; choose a larger data.split.{part}"
                )
        train, valid = chosen
        return samples.subset(train), samples.subset(valid)

    @abstractmethod
    def indices(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The positions (M,) int64 of the two parts, ascending, given all labels (N,)."""


class OrderedSplit(Split):
    """The first images are train, those that follow valid: what DARTS' authors do on CIFAR-10 (Liu et al., 2019).

    Only for a training set that is stored in a random order.
    """

    def indices(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        count = len(labels)
        middle = int(self.train * count + ROUNDING)
        end = min(count, int((self.train + self.valid) * count + ROUNDING))
        return torch.arange(middle), torch.arange(middle, end)


class StratifiedSplit(Split):
    """A random choice that follows from `seed`, in which every class has its share of each part, up to one image.

    The seed is the split's own: runs that differ in their seed search on the same parts.
    """

    def __init__(self, *, train: float = 0.5, valid: float = 0.5, seed: int = 0) -> None:
        super().__init__(train=train, valid=valid)
        self.seed = seed

    def indices(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(self.seed)
        shuffled = torch.randperm(len(labels), generator=generator)
        by_class = shuffled[labels[shuffled].argsort(stable=True)]
        in_train = evenly(len(by_class), self.train)
        rest = by_class[~in_train]
        share = self.valid / (1 - self.train) if len(rest) else 1.0
        in_valid = evenly(len(rest), min(1.0, share))
        return by_class[in_train].sort().values, rest[in_valid].sort().values


def evenly(count: int, fraction: float) -> Tensor:
    """(count,) booleans, int(fraction * count) of them true and spread evenly: any run of n holds fraction * n +- 1."""
    steps = (torch.arange(count + 1, dtype=torch.float64) * fraction + ROUNDING).floor()
    return steps.diff() > 0
