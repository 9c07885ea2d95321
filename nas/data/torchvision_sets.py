"""The small data sets that torchvision can download."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from nas.data.in_memory import InMemory, Labelled, Part
from nas.data.split import Split


class Published(NamedTuple):
    """A torchvision class, its number of classes, and how to call it for a part and take (images, labels) from it."""

    kind: str
    num_classes: int
    arguments: Callable[[Part], dict[str, Any]]
    arrays: Callable[[Any], tuple[Any, Any]]


def _train_flag(part: Part) -> dict[str, Any]:
    return {"train": part == "train"}


def _split_name(part: Part) -> dict[str, Any]:
    return {"split": part}


def _grey(dataset: Any) -> tuple[Any, Any]:
    return dataset.data[:, None], dataset.targets


def _channels_last(dataset: Any) -> tuple[Any, Any]:
    return dataset.data.transpose(0, 3, 1, 2), dataset.targets


def _channels_first(dataset: Any) -> tuple[Any, Any]:
    return dataset.data, dataset.labels


SETS = {
    "mnist": Published("MNIST", 10, _train_flag, _grey),
    "fashion_mnist": Published("FashionMNIST", 10, _train_flag, _grey),
    "cifar10": Published("CIFAR10", 10, _train_flag, _channels_last),
    "cifar100": Published("CIFAR100", 100, _train_flag, _channels_last),
    "svhn": Published("SVHN", 10, _split_name, _channels_first),
}


class Torchvision(InMemory):
    """The data set that torchvision calls `name`, read from the folder `root` or, if `download`, fetched into it.

    SVHN is its 73,257 training and 26,032 test images, without the extra ones.

    Raises:
        ValueError: a name that is not in SETS, no root, and as in `InMemory`; when read, files that are missing or
            damaged, or a download that fails.
    """

    def __init__(
        self,
        *,
        name: str,
        root: str,
        download: bool = False,
        padding: int = 0,
        flip: bool = False,
        cutout: int = 0,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        split: Split,
    ) -> None:
        super().__init__(split=split, padding=padding, flip=flip, cutout=cutout, mean=mean, std=std)
        if name not in SETS:
            raise ValueError(f"there is no torchvision data set {name!r} here; there are {', '.join(SETS)}")
        if not root:
            raise ValueError(f"{name} needs a folder: give data.root=FOLDER")
        self.name = name
        self.root = root
        self.download = download

    def read(self, part: Part) -> Labelled:
        published = SETS[self.name]
        images, labels = published.arrays(self._open(published, part))
        pixels = torch.as_tensor(np.ascontiguousarray(images))
        return Labelled(pixels, torch.as_tensor(np.asarray(labels), dtype=torch.int64), published.num_classes)

    def _open(self, published: Published, part: Part) -> Any:
        from nas.data.vision import torchvision

        dataset = getattr(torchvision.datasets, published.kind)
        try:
            return dataset(self.root, download=self.download, **published.arguments(part))
        except Exception as error:  # its readers assert what files hold, and raise what their parts do
            if self.download:
                reason = " ".join(str(error).split())
                raise ValueError(
                    f"{self.name} could not be downloaded to {self.root!r} ({reason}): check the connection, "
                    "or point data.root at a folder that holds it"
                ) from None
            raise ValueError(
                f"{self.name} is missing or damaged in {self.root!r}: data.download=true downloads it, "
                "or point data.root elsewhere"
            ) from None
