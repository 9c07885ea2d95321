"""Images in memory: they move to the device once and are augmented there."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from nas.data import augmentation
from nas.data.augmentation import Draws
from nas.data.samples import Samples, check_cutout, check_labels
from nas.data.statistics import Statistics
from nas.data.stream import Batch, Shuffle, Stream, check_batch_size
from nas.parallel import ALONE, Ranks


class PixelSamples(Samples):
    """Images of one size, (N, C, H, W) uint8 in 0..255 or floating point in [0, 1], and their labels (N,) int64.

    `padding` and `flip` say how a stream augments them: a random crop after zero padding, and a random mirror image.

    Raises:
        ValueError: no images, as many labels as there are not images, a label that is no class, a padding so large
            that a crop could miss the image, or a mean and std of another number of channels.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        num_classes: int,
        statistics: Statistics,
        padding: int = 0,
        flip: bool = False,
    ) -> None:
        if len(images) != len(labels):
            raise ValueError(f"there are {len(images)} images but {len(labels)} labels; give one label an image")
        check_labels(labels, num_classes)
        _, channels, height, width = images.shape
        if not 0 <= padding < min(height, width):
            raise ValueError(
                f"data.padding {padding} does not suit images of {height}x{width}; "
                f"choose 0 (no crop) to {min(height, width) - 1}"
            )
        statistics.check_channels(channels)
        self.images = images
        self.labels = labels
        self.num_classes = num_classes
        self.shape = (channels, height, width)
        self.statistics = statistics
        self.padding = padding
        self.flip = flip
        self._resident: dict[torch.device, Resident] = {}

    def subset(self, indices: Tensor) -> "PixelSamples":
        return PixelSamples(
            self.images[indices],
            self.labels[indices],
            num_classes=self.num_classes,
            statistics=self.statistics,
            padding=self.padding,
            flip=self.flip,
        )

    def stream(
        self, *, batch_size: int, seed: int, device: torch.device, cutout: int = 0, ranks: Ranks = ALONE
    ) -> "PixelStream":
        check_cutout(cutout, self.shape)
        shuffle = Shuffle(len(self), batch_size=batch_size, seed=seed, ranks=ranks)
        return PixelStream(self.on(device), shuffle, padding=self.padding, flip=self.flip, cutout=cutout)

    def batches(self, *, batch_size: int, device: torch.device, ranks: Ranks = ALONE) -> Iterator[Batch]:
        check_batch_size(batch_size)
        kept = self.on(device)
        pairs = list(zip(kept.images.split(batch_size), kept.labels.split(batch_size), strict=True))
        own = (pairs[turn] for turn in ranks.turns(len(pairs)))
        return ((augmentation.normalise(images, kept.mean, kept.std), labels) for images, labels in own)

    def on(self, device: torch.device) -> "Resident":
        """The tensors on a device; copied at the first call and kept."""
        if device not in self._resident:
            mean, std = self.statistics.on(device)
            self._resident[device] = Resident(self.images.to(device), self.labels.to(device), mean, std)
        return self._resident[device]


class Resident(NamedTuple):
    """What lies on a device: images (N, C, H, W), labels (N,), mean and std (C, 1, 1)."""

    images: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor


class PixelStream(Stream):
    """Batches drawn from images on a device: crop, flip, normalise, cutout, in this order."""

    def __init__(self, kept: Resident, shuffle: Shuffle, *, padding: int, flip: bool, cutout: int) -> None:
        self.kept = kept
        self.shuffle = shuffle
        self.padding = padding
        self.flip = flip
        self.cutout = cutout
        self.batches_per_epoch = shuffle.batches_per_epoch
        self.epoch = 0
        self.batch = 0
        self._order: Tensor | None = None
        self._generator = torch.Generator(kept.images.device)

    def __next__(self) -> Batch:
        if self._order is None:
            self._order = _sent(self.shuffle.order(self.epoch), self.kept.images.device)
        chosen = self._order[self.batch]
        draws = self.shuffle.draws(self.epoch, self.batch, self._generator)
        images = self._augment(self.kept.images[chosen], draws)
        self.batch += 1
        if self.batch == self.batches_per_epoch:
            self.epoch, self.batch, self._order = self.epoch + 1, 0, None
        return images, self.kept.labels[chosen]

    def seek(self, epoch: int, batch: int) -> None:
        self._check_position(epoch, batch)
        self.epoch, self.batch, self._order = epoch, batch, None

    def _augment(self, images: Tensor, draws: Draws) -> Tensor:
        images = augmentation.crop(images, self.padding, draws)
        if self.flip:
            images = augmentation.flip(images, draws)
        images = augmentation.normalise(images, self.kept.mean, self.kept.std)
        return augmentation.cutout(images, self.cutout, draws)


def _sent(x: Tensor, device: torch.device) -> Tensor:
    """A copy on the device that a GPU makes while the host goes on."""
    return (x.pin_memory() if device.type == "cuda" else x).to(device, non_blocking=True)
