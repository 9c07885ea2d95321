"""How the training set is divided for a search."""

import pytest
import torch
from torch import Tensor

from nas.data import OrderedSplit, PixelSamples, Split, Statistics, StratifiedSplit


def samples(labels: Tensor) -> PixelSamples:
    images = torch.arange(len(labels), dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    return PixelSamples(images, labels, num_classes=int(labels.max()) + 1, statistics=Statistics([0.0], [1.0]))


def test_ordered_takes_the_first_half_and_then_the_rest() -> None:
    train, valid = OrderedSplit()(samples(torch.arange(11) % 3))
    assert train.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert valid.images[:, 0, 0, 0].tolist() == [5, 6, 7, 8, 9, 10]
    assert train.labels.tolist() == [0, 1, 2, 0, 1]


def test_ordered_leaves_out_what_no_fraction_claims() -> None:
    train, valid = OrderedSplit(train=0.3, valid=0.2).indices(torch.zeros(50_000))
    assert train.tolist() == list(range(15_000))
    assert valid.tolist() == list(range(15_000, 25_000))


@pytest.mark.parametrize(("first", "second"), [(0.5, 0.5), (0.7, 0.3), (0.8, 0.2), (0.1, 0.025), (0.1, 0.9)])
def test_stratified_is_disjoint_and_gives_every_class_its_share(first: float, second: float) -> None:
    labels = torch.randint(0, 7, (1000,), generator=torch.Generator().manual_seed(1))
    train, valid = StratifiedSplit(train=first, valid=second, seed=3).indices(labels)
    assert not set(train.tolist()) & set(valid.tolist())
    assert len(train) == int(first * 1000 + 1e-6)
    assert abs(len(valid) - second * 1000) <= 1
    for label in range(7):
        total = int((labels == label).sum())
        assert abs(int((labels[train] == label).sum()) - first * total) <= 1
        assert abs(int((labels[valid] == label).sum()) - second * total) <= 2
    if first + second == 1:
        assert sorted(train.tolist() + valid.tolist()) == list(range(1000))


def test_stratified_follows_from_its_seed() -> None:
    labels = torch.arange(400) % 4
    first, again, other = (StratifiedSplit(seed=seed).indices(labels)[0] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_stratified_is_random_within_a_class() -> None:
    train, _ = StratifiedSplit().indices(torch.zeros(1000, dtype=torch.int64))
    assert 200 < int((train < 500).sum()) < 300
    assert 200 < int((train % 2 == 0).sum()) < 300


@pytest.mark.parametrize("kind", [OrderedSplit, StratifiedSplit])
@pytest.mark.parametrize(
    ("train", "valid", "message"),
    [
        (0.0, 0.5, "data.split.train 0.0 is not a fraction of the images; choose one in (0, 1]"),
        (0.5, 1.5, "data.split.valid 1.5 is not a fraction of the images; choose one in (0, 1]"),
        (0.6, 0.5, "data.split.train 0.6 and data.split.valid 0.5 overlap: their sum may be at most 1"),
    ],
)
def test_fractions_that_are_refused(kind: type[Split], train: float, valid: float, message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        kind(train=train, valid=valid)
    assert str(error.value) == message


@pytest.mark.parametrize("kind", [OrderedSplit, StratifiedSplit])
def test_an_empty_part_is_refused(kind: type[Split]) -> None:
    for fractions, part in (({"train": 0.01, "valid": 0.5}, "train"), ({"train": 0.5, "valid": 0.01}, "valid")):
        with pytest.raises(ValueError) as error:  # noqa: PT011
            kind(**fractions)(samples(torch.arange(20) % 2))
        wanted = f"data.split leaves no images for {part} out of 20; choose a larger data.split.{part}"
        assert str(error.value) == wanted
