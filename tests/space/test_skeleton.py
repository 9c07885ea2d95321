"""The size and the ends of a network."""

import pytest

from nas.space import Skeleton
from nas.space.skeleton import MOST


def test_the_defaults_are_those_of_the_darts_search() -> None:
    # Liu et al., 2019: C = 16, 8 cells, CIFAR-10
    assert Skeleton() == Skeleton(
        channels=16, num_cells=8, stem="cifar", num_classes=10, in_channels=3, auxiliary=False
    )


@pytest.mark.parametrize("field", ["channels", "num_cells", "num_classes", "in_channels"])
@pytest.mark.parametrize("value", [0, -2])
def test_sizes_start_at_one(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"^{field} is {value}; give at least 1$"):
        Skeleton(**{field: value})


@pytest.mark.parametrize("field", MOST)
def test_sizes_end_where_no_network_is(field: str) -> None:
    Skeleton(**{field: MOST[field]})
    with pytest.raises(ValueError, match=f"^{field} is {MOST[field] + 1}; give at most {MOST[field]:,}$"):
        Skeleton(**{field: MOST[field] + 1})


def test_a_stem_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"^there is no stem 'mnist'; the stems are cifar, imagenet$"):
        Skeleton(stem="mnist")


def test_an_image_has_its_channels_and_its_size() -> None:
    assert Skeleton(in_channels=1, image_size=(8, 12)).image_shape == (1, 8, 12)
    with pytest.raises(ValueError, match=r"^image_size is \(8, 0\); give at least \(1, 1\)$"):
        Skeleton(image_size=(8, 0))
    with pytest.raises(ValueError, match=r"^image_size is \(8, 8193\); give at most \(8192, 8192\)$"):
        Skeleton(image_size=(8, 8193))
