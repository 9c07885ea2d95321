"""A set of labelled images."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor

from nas.data.stream import Batch, Stream
from nas.parallel import ALONE, Ranks


class Samples(ABC):
    """Labelled images, ready to be streamed for training or passed once for evaluation.

    `shape` is (C, H, W) as the network sees it; `labels` is (N,) int64 with values 0 .. num_classes - 1.
    """

    num_classes: int
    shape: tuple[int, int, int]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def subset(self, indices: Tensor) -> "Samples":
        """The images at these positions, (M,) int64, in this order."""

    @abstractmethod
    def stream(
        self, *, batch_size: int, seed: int, device: torch.device, cutout: int = 0, ranks: Ranks = ALONE
    ) -> Stream:
        """A new endless stream of shuffled and augmented batches; `cutout` is the side of the square that it erases.

        `batch_size` counts the rows of all ranks; the stream has those of this one.

        Raises:
            ValueError: a batch of less than 1 or more than all images, or one that the ranks cannot divide, or a cutout
                below 0 or larger than the image.
        """

    @abstractmethod
    def batches(self, *, batch_size: int, device: torch.device, ranks: Ranks = ALONE) -> Iterator[Batch]:
        """Every image once, in order, normalised but not augmented; the last batch may be smaller.

        The ranks take turns by whole batches, because batch norm may depend on all of a batch.

        Raises:
            ValueError: a batch of less than 1 image.
        """


def check_labels(labels: Tensor, num_classes: int) -> None:
    """A ValueError if there are no labels, or if one is not among 0 .. num_classes - 1."""
    if len(labels) == 0:
        raise ValueError("a data set needs at least one image; this one is empty")
    outside = ((labels < 0) | (labels >= num_classes)).nonzero()
    if len(outside):
        first = int(outside[0])
        raise ValueError(
            f"label {int(labels[first])} of image {first} is outside 0..{num_classes - 1}: "
            f"number the {num_classes} classes from 0"
        )


def check_cutout(cutout: int, shape: tuple[int, int, int]) -> None:
    """A ValueError unless a square of side `cutout` fits into an image of `shape`."""
    _, height, width = shape
    if not 0 <= cutout <= min(height, width):
        raise ValueError(
            f"trainer.cutout {cutout} does not fit into images of {height}x{width}; "
            f"choose 0 (none) to {min(height, width)}"
        )
