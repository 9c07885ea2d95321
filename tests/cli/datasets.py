"""A person's own data: classes that `_target_` names, and files."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset


class Stripes(Dataset[Any]):
    """40 grey 8x8 images of two classes: a bright row or a bright column."""

    def __init__(self, count: int = 40) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, place = torch.zeros(1, 8, 8), index // 2 % 8
        image[0, place if index % 2 else slice(None), slice(None) if index % 2 else place] = 1
        return image, index % 2


class Poison(Stripes):
    """Images that nobody may look at."""

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        raise AssertionError("somebody looked at the test set")


def custom(test: str = "Stripes") -> list[str]:
    """The words that name these data sets."""
    return [
        "data=custom",
        f"data.train._target_={__name__}.Stripes",
        f"data.test._target_={__name__}.{test}",
    ]


def pixels(count: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(count, 8, 8, 3) random images of three classes."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8), np.arange(count) % 3


def npz(path: Path) -> list[str]:
    """Writes a pack of 48 + 12 images; the words that name it."""
    (x_train, y_train), (x_test, y_test) = pixels(48, seed=0), pixels(12, seed=1)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return ["data=npz", f"data.root={path}"]


def image_folder(root: Path) -> list[str]:
    """Writes 40 + 10 PNGs of two classes; the words that name them."""
    for part, count in (("train", 20), ("val", 5)):
        for name in ("cat", "dog"):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                colour = (40 * number % 256, 200 if name == "cat" else 20, 90)
                Image.new("RGB", (20, 24), colour).save(root / part / name / f"{number}.png")
    return ["data=image_folder", f"data.root={root}", "data.size=16", "data.workers=0"]
