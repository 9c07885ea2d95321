"""Scikit-learn's handwritten digits: real images that need no download."""

from collections.abc import Sequence

import torch

from nas.data.in_memory import InMemory, Labelled, Part
from nas.data.split import Split, StratifiedSplit


class Digits(InMemory):
    """1,797 grey 8x8 images of digits with 17 levels: 1,437 for training, 360 for the test.

    Scikit-learn does not divide them. Here the test set is a stratified fifth, the same in every run.

    Raises:
        ValueError: a root, for there are no files; and as in `InMemory`.
    """

    def __init__(
        self,
        *,
        root: str | None = None,
        padding: int = 0,
        flip: bool = False,
        cutout: int = 0,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        split: Split,
    ) -> None:
        if root is not None:
            raise ValueError(f"data.root {root} has no use: digits come with scikit-learn; leave it null")
        super().__init__(split=split, padding=padding, flip=flip, cutout=cutout, mean=mean, std=std)

    def read(self, part: Part) -> Labelled:
        from sklearn.datasets import load_digits

        digits = load_digits()
        labels = torch.as_tensor(digits.target, dtype=torch.int64)
        train, test = StratifiedSplit(train=0.8, valid=0.2, seed=0).indices(labels)
        chosen = train if part == "train" else test
        images = torch.as_tensor(digits.images, dtype=torch.float32)[:, None] / 16
        return Labelled(images[chosen], labels[chosen], 10)
