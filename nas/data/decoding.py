"""From an image file to a tensor, as worker processes do it."""

import functools
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from nas.data.picture_file import decode
from nas.data.stream import derived_seed
from nas.reading import opened

LARGEST_FILE = 2**28
"""Bytes: what the largest picture that is decoded has without compression."""

Visit = tuple[int, int]  # epoch, index


@dataclass(frozen=True)
class Views:
    """How an image becomes a tensor (3, size, size) uint8: the transforms of DARTS' authors for ImageNet."""

    size: int
    flip: bool

    def __post_init__(self) -> None:
        _random(self.size, self.flip)  # imports torchvision before the workers fork, not in each of them

    def random(self, image: Image.Image, seed: int) -> Tensor:
        """A random crop, mirror image and colour that follow from the seed; leaves torch's random state as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # not torch.manual_seed: that seeds the accelerator too
            return _random(self.size, self.flip)(image)

    def plain(self, image: Image.Image) -> Tensor:
        """The centre of the image."""
        return _plain(self.size)(image)


# Cached, not attributes of Views: what is sent to a worker must not need torchvision to be unpickled.
@functools.cache
def _random(size: int, flip: bool) -> Any:
    from nas.data.vision import torchvision

    kinds = torchvision.transforms
    mirror = [kinds.RandomHorizontalFlip()] if flip else []
    jitter = kinds.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.2)
    return kinds.Compose([kinds.RandomResizedCrop(size), *mirror, jitter, kinds.PILToTensor()])


@functools.cache
def _plain(size: int) -> Any:
    from nas.data.vision import torchvision

    kinds = torchvision.transforms
    # 256 pixels for crops of 224, and in proportion.
    return kinds.Compose([kinds.Resize(256 * size // 224), kinds.CenterCrop(size), kinds.PILToTensor()])


class PlainImages(Dataset[tuple[Tensor, int]]):
    """Item i is the centre of image i, (3, size, size) uint8, and its label."""

    def __init__(self, paths: list[str], labels: Tensor, views: Views) -> None:
        self.paths = paths
        self.labels = labels
        self.views = views

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.views.plain(load(self.paths[index])), int(self.labels[index])


class RandomImages(Dataset[tuple[Tensor, int]]):
    """Item (epoch, i) is a view of image i that follows from (seed, epoch, i), whichever process takes it."""

    def __init__(self, paths: list[str], labels: Tensor, views: Views, seed: int) -> None:
        self.paths = paths
        self.labels = labels
        self.views = views
        self.seed = seed

    def __getitem__(self, visit: Visit) -> tuple[Tensor, int]:
        epoch, index = visit
        seed = derived_seed("view", self.seed, epoch, index)
        return self.views.random(load(self.paths[index]), seed), int(self.labels[index])


def load(path: str) -> Image.Image:
    """The image in a file, as RGB; a ValueError that names the file if it does not decode."""
    try:
        with opened(path, LARGEST_FILE) as file:
            return decode(file, mode="RGB")
    except ValueError as error:
        raise ValueError(f"{path!r} does not decode as an image ({error}); replace or remove it") from None
