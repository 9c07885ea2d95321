"""A user's own data set."""

import operator
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from nas.data.in_memory import InMemory, Labelled, Part
from nas.data.split import Split

COLOUR = ("RGB", "RGBA", "P", "CMYK", "YCbCr")


class CustomDataset(InMemory):
    """Two map-style torch data sets, read once into memory.

    Item i is (image, label). Images: a PIL image; a tensor (C, H, W); or an array (H, W) or (H, W, C); tensors and
    arrays are uint8, or floating point with white at 1. All have one size. Labels: integers 0 .. num_classes - 1, where
    `num_classes` is by default the largest training label + 1. The framework augments: the data sets should not.

    Raises:
        ValueError: something that is no map-style data set, a root, and as in `InMemory`; when read, items of another
            form, images of several sizes, or a label that is no class.
    """

    def __init__(
        self,
        *,
        train: Dataset[Any],
        test: Dataset[Any],
        root: str | None = None,
        num_classes: int | None = None,
        padding: int = 0,
        flip: bool = False,
        cutout: int = 0,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        split: Split,
    ) -> None:
        super().__init__(split=split, padding=padding, flip=flip, cutout=cutout, mean=mean, std=std)
        if root is not None:
            raise ValueError(f"data.root {root} has no use here; give paths to data.train and data.test")
        if num_classes is not None and num_classes < 1:
            raise ValueError(
                f"data.num_classes {num_classes} is too few; choose at least 1, or null to count the labels"
            )
        self._datasets = {"train": train, "test": test}
        self._counts = {part: _count(part, dataset) for part, dataset in self._datasets.items()}
        self.num_classes = num_classes

    def read(self, part: Part) -> Labelled:
        images, labels = [], []
        for index in range(self._counts[part]):
            place = f"item {index} of data.{part}"
            image, label = _pair(self._datasets[part][index], place)
            images.append(_pixels(image, place))
            labels.append(_integer(label, place))
        kinds = Counter((tuple(image.shape), str(image.dtype)) for image in images)
        if len(kinds) > 1:
            found = ", ".join(f"{count} of {shape} {dtype}" for (shape, dtype), count in kinds.most_common(4))
            raise ValueError(
                f"the images of data.{part} differ in size (channels, height, width) or type: {found}; "
                "resize and convert them in the data set, or use data=image_folder"
            )
        return Labelled(torch.stack(images), torch.tensor(labels), self.num_classes)


def _count(part: str, dataset: Any) -> int:
    try:
        count = len(dataset)
    except TypeError:
        raise ValueError(
            f"data.{part} is a {type(dataset).__name__} without a length; "
            "give the _target_ of a map-style torch Dataset, with __len__ and __getitem__"
        ) from None
    if count < 1:
        raise ValueError(f"data.{part} is empty; it needs at least one image")
    return count


def _pair(item: Any, place: str) -> tuple[Any, Any]:
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise ValueError(f"{place} is a {type(item).__name__}; it needs to be a pair (image, label)")
    return item[0], item[1]


def _integer(label: Any, place: str) -> int:
    try:
        return operator.index(label)
    except TypeError:
        raise ValueError(f"{place} has the label {label!r}; a label is an integer that numbers its class") from None


def _pixels(image: Any, place: str) -> Tensor:
    """(C, H, W), uint8 or floating point."""
    if isinstance(image, Image.Image):
        pixels = _from_pil(image, place)
    elif isinstance(image, np.ndarray) and image.ndim in (2, 3):
        pixels = torch.from_numpy(np.atleast_3d(image).copy()).permute(2, 0, 1)
    elif isinstance(image, Tensor) and image.ndim == 3:
        pixels = image.cpu()
    else:
        shape = f" of shape {tuple(image.shape)}" if isinstance(image, (Tensor, np.ndarray)) else ""
        raise ValueError(
            f"{place} has as image a {type(image).__name__}{shape}; "
            "allowed are a PIL image, a tensor (C, H, W), or an array (H, W) or (H, W, C)"
        )
    if pixels.dtype != torch.uint8 and not pixels.is_floating_point():
        raise ValueError(f"{place} has {pixels.dtype} pixels; allowed are uint8 and floating point")
    return pixels


def _from_pil(image: Image.Image, place: str) -> Tensor:
    if image.mode != "L" and image.mode not in COLOUR:
        raise ValueError(
            f"{place} is a PIL image of mode {image.mode}; allowed are L (grey) and, made RGB, {', '.join(COLOUR)}"
        )
    array = np.array(image if image.mode == "L" else image.convert("RGB"))
    return torch.from_numpy(np.atleast_3d(array)).permute(2, 0, 1)
