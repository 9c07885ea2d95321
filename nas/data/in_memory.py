"""The part that all data sets share whose images fit into memory."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal, NamedTuple

from torch import Tensor

from nas.data.pixels import PixelSamples
from nas.data.source import DataSource
from nas.data.split import Split
from nas.data.statistics import given, measured

Part = Literal["train", "test"]


class Labelled(NamedTuple):
    """What a reader finds: images (N, C, H, W) uint8 or in [0, 1], labels (N,) int64, the class count if known."""

    images: Tensor
    labels: Tensor
    num_classes: int | None = None


class InMemory(DataSource):
    """A data set whose images have one size and fit into memory; a subclass says how to read them.

    The training images set the standard: unless `mean` and `std` are given, the test images are normalised by theirs,
    and unless the reader knows the number of classes, it is their largest label + 1.

    Raises:
        ValueError: a negative padding or cutout, or a mean and std that do not go together.
    """

    def __init__(
        self,
        *,
        split: Split,
        padding: int = 0,
        flip: bool = False,
        cutout: int = 0,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        for name, value in (("padding", padding), ("cutout", cutout)):
            if value < 0:
                raise ValueError(f"data.{name} {value} is negative; choose 0 for none, or a number of pixels")
        self.split = split
        self.padding = padding
        self.flip = flip
        self.cutout = cutout
        self.statistics = given(mean, std)
        self._train: PixelSamples | None = None
        self._test: PixelSamples | None = None

    @abstractmethod
    def read(self, part: Part) -> Labelled:
        """One part of the data set; a ValueError if it cannot be read."""

    def train(self) -> PixelSamples:
        if self._train is None:
            images, labels, known = self.read("train")
            if len(images) == 0:
                raise ValueError("the training set is empty; a data set needs at least one image")
            self._train = PixelSamples(
                images,
                labels,
                num_classes=known or max(1, int(labels.max()) + 1),
                statistics=self.statistics or measured(images),
                padding=self.padding,
                flip=self.flip,
            )
        return self._train

    def test(self) -> PixelSamples:
        if self._test is None:
            standard = self.train()
            images, labels, _ = self.read("test")
            if tuple(images.shape[1:]) != standard.shape:
                raise ValueError(
                    f"the test images are {tuple(images.shape[1:])} but the training images {standard.shape} "
                    "(channels, height, width); give both one size"
                )
            self._test = PixelSamples(images, labels, num_classes=standard.num_classes, statistics=standard.statistics)
        return self._test
