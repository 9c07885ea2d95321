"""Random changes of a batch of images: one draw for every image, on the images' device, without a loop over them."""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Draws:
    """Random numbers for a batch of `count` images, of which only those for its `rows` are wanted.

    All are drawn, whichever rows are wanted: an image is changed alike wherever its batch is divided.
    """

    generator: torch.Generator
    count: int
    rows: slice = field(default_factory=lambda: slice(None))

    def integers(self, below: int, *shape: int) -> Tensor:
        """Uniform over 0 .. below - 1, (*shape, rows) int64."""
        return torch.randint(below, (*shape, self.count), generator=self.generator, device=self.generator.device)[
            ..., self.rows
        ]

    def fractions(self) -> Tensor:
        """Uniform over [0, 1), (rows,)."""
        return torch.rand(self.count, generator=self.generator, device=self.generator.device)[self.rows]


def crop(images: Tensor, padding: int, draws: Draws) -> Tensor:
    """A random window of the original size in each image after `padding` zeros (black) on every side.

    images: (N, C, H, W), before normalisation; the corner is uniform over the (2 padding + 1)^2 positions.
    """
    if padding == 0:
        return images
    count, _, height, width = images.shape
    windows = F.pad(images, (padding,) * 4).unfold(2, height, 1).unfold(3, width, 1)  # a view (N, C, top, left, H, W)
    top, left = draws.integers(2 * padding + 1, 2)
    return windows[torch.arange(count, device=images.device), :, top, left]


def flip(images: Tensor, draws: Draws) -> Tensor:
    """Each image (of (N, C, H, W)) mirrored left to right with probability 1/2."""
    mirrored = draws.fractions() < 0.5
    return torch.where(mirrored[:, None, None, None], images.flip(-1), images)


def cutout(images: Tensor, length: int, draws: Draws) -> Tensor:
    """Sets one square of side `length` to zero in all channels of each image (DeVries & Taylor, 2017).

    images: (N, C, H, W), after normalisation, so that zero is the mean colour. The centre (y, x) is a uniformly random
    pixel; rows clip(y - length // 2, 0, H) up to clip(y - length // 2 + length, 0, H) go, columns alike. DARTS' authors
    erase rows up to y + length // 2, the same for an even length; for an odd one their square has side length - 1.
    """
    if length == 0:
        return images
    height, width = images.shape[-2:]
    rows, columns = _covered(height, length, draws), _covered(width, length, draws)
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)


def _covered(size: int, length: int, draws: Draws) -> Tensor:
    """(rows, size) booleans: which positions along one axis a random interval of `length` covers."""
    start = draws.integers(size)[:, None] - length // 2
    position = torch.arange(size, device=start.device)
    return (position >= start) & (position < start + length)


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(images - mean) / std in float32; uint8 images (N, C, H, W) are divided by 255 first. mean, std: (C, 1, 1)."""
    scale = 1.0 if images.is_floating_point() else 255.0
    return images.float().div(scale).sub(mean).div(std)
