"""The part of a network that is not searched."""

from dataclasses import dataclass

MOST = {"channels": 4096, "num_cells": 256, "num_classes": 100_000, "in_channels": 4096}
"""Ten times what papers have, so that a file that names other sizes is refused before a network of them is built."""
LONGEST_SIDE = 8192
"""Pixels."""


@dataclass(frozen=True)
class Skeleton:
    """The size and the ends of a network: what the `network.*` keys and the data set say, the same for every space.

    Attributes:
        channels: width of the first cell (C in the papers).
        num_cells: number of cells (L in the papers).
        stem: `cifar` keeps the image size, `imagenet` divides it by 8.
        num_classes: length of the logits.
        in_channels: channels of an image.
        image_size: height and width of an image, in pixels.
        auxiliary: whether training adds an auxiliary head.

    Raises:
        ValueError: a size below 1 or above MOST, an unknown stem, or one channel with the imagenet stem, which halves
            it.
    """

    channels: int = 16
    num_cells: int = 8
    stem: str = "cifar"
    num_classes: int = 10
    in_channels: int = 3
    image_size: tuple[int, int] = (32, 32)
    auxiliary: bool = False

    def __post_init__(self) -> None:
        for field, most in MOST.items():
            if getattr(self, field) < 1:
                raise ValueError(f"{field} is {getattr(self, field)}; give at least 1")
            if getattr(self, field) > most:
                raise ValueError(f"{field} is {getattr(self, field)}; give at most {most:,}")
        if min(self.image_size) < 1:
            raise ValueError(f"image_size is {self.image_size}; give at least (1, 1)")
        if max(self.image_size) > LONGEST_SIDE:
            raise ValueError(f"image_size is {self.image_size}; give at most {(LONGEST_SIDE, LONGEST_SIDE)}")
        if self.stem not in ("cifar", "imagenet"):
            raise ValueError(f"there is no stem {self.stem!r}; the stems are cifar, imagenet")
        if self.stem == "imagenet" and self.channels < 2:
            raise ValueError(f"network.channels is {self.channels}; the imagenet stem needs at least 2")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return self.in_channels, *self.image_size
