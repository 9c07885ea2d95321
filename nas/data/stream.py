"""Endless batches for training, and the order in which they visit the images."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from nas.data.augmentation import Draws
from nas.parallel import ALONE, Ranks

Batch = tuple[Tensor, Tensor]


class Stream(ABC, Iterator[Batch]):
    """Endless, shuffled, augmented batches: images (N, C, H, W) float32, normalised, and labels (N,) int64.

    A stream goes on from epoch to epoch; `batches_per_epoch` batches visit each image at most once and leave out the
    rest that fills no batch. `epoch` and `batch` say which batch comes next. All that is random in a batch follows from
    (seed, epoch, batch), so this position is the whole state of a stream. With several ranks each has its rows of the
    batches that one alone would have, augmented alike.
    """

    batches_per_epoch: int
    epoch: int
    batch: int

    @abstractmethod
    def __next__(self) -> Batch:
        """The next batch, on the device that the stream was made for."""

    @abstractmethod
    def seek(self, epoch: int, batch: int) -> None:
        """Goes to a position, which may lie behind; a ValueError for one that epochs of this stream do not have."""

    def _check_position(self, epoch: int, batch: int) -> None:
        if epoch < 0 or not 0 <= batch < self.batches_per_epoch:
            raise ValueError(
                f"there is no batch {batch} of epoch {epoch}: an epoch of this data has {self.batches_per_epoch} "
                "batches; use the data that the run began with"
            )


class Shuffle:
    """For every epoch a permutation of `count` images that follows from (seed, epoch), cut into full batches.

    It is drawn on the CPU, so that the order does not depend on the device. `rows` are those that this rank has of
    every batch.

    Raises:
        ValueError: a batch of less than 1 or more than `count` images, or one that the ranks cannot divide, or a
            negative seed.
    """

    def __init__(self, count: int, *, batch_size: int, seed: int, ranks: Ranks = ALONE) -> None:
        check_batch_size(batch_size)
        if batch_size > count:
            raise ValueError(
                f"trainer.batch_size {batch_size} is larger than the split of {count} images; choose at most {count}"
            )
        if seed < 0:
            raise ValueError(f"seed {seed} is negative; choose 0 or more")
        self.count = count
        self.batch_size = batch_size
        self.seed = seed
        self.batches_per_epoch = count // batch_size
        self.rows = ranks.rows(batch_size)

    def order(self, epoch: int) -> Tensor:
        """This rank's images of an epoch, a row a batch: (batches_per_epoch, batch_size / ranks) int64."""
        generator = torch.Generator().manual_seed(derived_seed("order", self.seed, epoch))
        permutation = torch.randperm(self.count, generator=generator)
        return permutation[: self.batches_per_epoch * self.batch_size].view(-1, self.batch_size)[:, self.rows]

    def draws(self, epoch: int, batch: int, generator: torch.Generator) -> Draws:
        """The random numbers that augment this rank's rows of a batch; seeds the generator."""
        generator.manual_seed(derived_seed("augment", self.seed, epoch, batch))
        return Draws(generator, self.batch_size, self.rows)


def check_batch_size(batch_size: int) -> None:
    """A ValueError if there is no such batch."""
    if batch_size < 1:
        raise ValueError(f"trainer.batch_size {batch_size} is not a number of images; choose at least 1")


def derived_seed(purpose: str, *numbers: int) -> int:
    """A 64-bit seed that follows from what it is for and numbers >= 0; unrelated for neighbouring numbers."""
    entropy = (*purpose.encode(), *numbers)
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])
