"""A user's own data sets."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from nas.data import CustomDataset, StratifiedSplit

GREY = np.arange(4 * 5, dtype=np.uint8).reshape(4, 5)
COLOUR = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)


class Items(Dataset[Any]):
    def __init__(self, *items: Any) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        while True:
            yield GREY, 0


def source(*items: Any, test: Any = None, **options: Any) -> CustomDataset:
    dataset = Items(*items)
    return CustomDataset(train=dataset, test=test or dataset, split=StratifiedSplit(), **options)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (GREY, GREY[None]),
        (COLOUR, COLOUR.transpose(2, 0, 1)),
        (GREY / np.float32(20), GREY[None] / np.float32(20)),
        (torch.from_numpy(COLOUR).permute(2, 0, 1), COLOUR.transpose(2, 0, 1)),
        (torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0)), None),
        (Image.fromarray(GREY), GREY[None]),
        (Image.fromarray(COLOUR), COLOUR.transpose(2, 0, 1)),
        (Image.fromarray(COLOUR).convert("RGBA"), COLOUR.transpose(2, 0, 1)),
    ],
)
def test_every_form_of_image(image: Any, expected: np.ndarray | None) -> None:
    train = source((image, 0), (image, np.int64(1)), (image, torch.tensor(2))).train()
    wanted = image.numpy() if expected is None else expected
    assert train.images.shape == (3, *wanted.shape)
    for pixels in train.images:
        assert np.array_equal(pixels.numpy(), wanted)
    assert train.labels.tolist() == [0, 1, 2]
    assert train.num_classes == 3


def test_bytes_and_floats_are_normalised_alike() -> None:
    def first(image: np.ndarray) -> Tensor:
        return next(source((image, 0)).train().batches(batch_size=1, device=torch.device("cpu")))[0]

    torch.testing.assert_close(first(COLOUR), first(COLOUR / 255), atol=1e-5, rtol=1e-5)


def test_the_number_of_classes_can_be_given() -> None:
    assert source((GREY, 1), num_classes=7).test().num_classes == 7


def test_several_sizes_are_counted() -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        source((GREY, 0), (COLOUR, 0), (GREY, 1)).train()
    assert str(error.value) == (
        "the images of data.train differ in size (channels, height, width) or type: 2 of (1, 4, 5) torch.uint8, "
        "1 of (3, 4, 5) torch.uint8; resize and convert them in the data set, or use data=image_folder"
    )


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (GREY, "item 1 of data.train is a ndarray; it needs to be a pair (image, label)"),
        ((GREY, 0.5), "item 1 of data.train has the label 0.5; a label is an integer that numbers its class"),
        ((GREY, "cat"), "item 1 of data.train has the label 'cat'; a label is an integer that numbers its class"),
        (
            (GREY.astype(int), 0),
            "item 1 of data.train has torch.int64 pixels; allowed are uint8 and floating point",
        ),
        (
            (torch.zeros(4, 5), 0),
            "item 1 of data.train has as image a Tensor of shape (4, 5); "
            "allowed are a PIL image, a tensor (C, H, W), or an array (H, W) or (H, W, C)",
        ),
        (
            ([[0]], 0),
            "item 1 of data.train has as image a list; "
            "allowed are a PIL image, a tensor (C, H, W), or an array (H, W) or (H, W, C)",
        ),
        (
            (Image.fromarray(GREY).convert("I"), 0),
            "item 1 of data.train is a PIL image of mode I; "
            "allowed are L (grey) and, made RGB, RGB, RGBA, P, CMYK, YCbCr",
        ),
        ((GREY, -1), "label -1 of image 1 is outside 0..0: number the 1 classes from 0"),
    ],
)
def test_items_that_are_refused(item: Any, message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        source((GREY, 0), item).train()
    assert str(error.value) == message


def test_labels_beyond_the_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^label 3 of image 1 is outside 0\.\.1: number the 2 classes from 0$"):
        source((GREY, 0), (GREY, 3), num_classes=2).train()
    with pytest.raises(ValueError, match=r"^label 3 of image 0 is outside 0\.\.1: number the 2 classes from 0$"):
        source((GREY, 0), (GREY, 1), test=Items((GREY, 3))).test()


def test_options_that_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^data\.test is a Endless without a length; give the _target_ of a map-sty"):
        source((GREY, 0), test=Endless())
    with pytest.raises(ValueError, match=r"^data\.train is empty; it needs at least one image$"):
        source()
    with pytest.raises(ValueError, match=r"^data\.root x has no use here; give paths to data\.train and data\.test$"):
        source((GREY, 0), root="x")
    with pytest.raises(ValueError, match=r"^data\.num_classes 0 is too few; choose at least 1, or null to count"):
        source((GREY, 0), num_classes=0)
