"""Scikit-learn's digits."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from nas.data import Digits, StratifiedSplit

CPU = torch.device("cpu")


def pixels(samples) -> np.ndarray:
    images = torch.cat([images for images, _ in samples.batches(batch_size=500, device=CPU)])
    return (images * 16).round().int().flatten(1).numpy()


def test_training_and_test_images_are_all_digits_once() -> None:
    source = Digits(mean=[0], std=[1], split=StratifiedSplit())
    train, test = source.train(), source.test()
    assert (len(train), len(test)) == (1437, 360)
    assert (train.num_classes, train.shape) == (10, (1, 8, 8))
    both = np.concatenate([pixels(train), pixels(test)])
    labels = torch.cat([train.labels, test.labels]).numpy()
    found = sorted(map(tuple, np.column_stack([both, labels]).tolist()))
    digits = load_digits()
    assert found == sorted(map(tuple, np.column_stack([digits.data, digits.target]).astype(int).tolist()))
    assert torch.bincount(test.labels).tolist() == [36, 36, 36, 36, 37, 36, 36, 36, 35, 36]


def test_the_division_does_not_depend_on_the_seed_of_the_run() -> None:
    torch.manual_seed(0)
    first = Digits(split=StratifiedSplit(seed=0)).test().labels
    torch.manual_seed(1)
    assert torch.equal(first, Digits(split=StratifiedSplit(seed=1)).test().labels)


def test_the_search_halves() -> None:
    source = Digits(split=StratifiedSplit())
    train, valid = source.split(source.train())
    assert (len(train), len(valid)) == (718, 719)


def test_training_images_are_normalised_to_mean_0_and_deviation_1_and_test_images_alike() -> None:
    source = Digits(split=StratifiedSplit())
    ((images, _),) = source.train().batches(batch_size=2000, device=CPU)
    assert images.mean().item() == pytest.approx(0, abs=1e-5)
    assert images.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    assert source.test().statistics is source.train().statistics


def test_a_root_has_no_use() -> None:
    with pytest.raises(ValueError, match=r"^data\.root here has no use: digits come with scikit-learn; leave it null$"):
        Digits(root="here", split=StratifiedSplit())


@pytest.mark.parametrize("name", ["padding", "cutout"])
def test_negative_pixels_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^data\.{name} -1 is negative; choose 0 for none, or a number of pixels$"):
        Digits(split=StratifiedSplit(), **{name: -1})
