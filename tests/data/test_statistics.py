"""Mean and standard deviation of the channels."""

import pytest
import torch

from nas.data.statistics import Statistics, given, measured


def test_measured_in_numbers() -> None:
    images = torch.zeros(2, 2, 1, 2, dtype=torch.uint8)
    images[1, 0] = 255  # channel 0 is half black, half white; channel 1 is black
    statistics = measured(images)
    assert statistics.mean == pytest.approx((0.5, 0.0))
    assert statistics.std == pytest.approx((0.5, 1.0))  # a constant channel is not divided by zero
    floats = measured(images.double() / 255)
    assert floats.mean == pytest.approx(statistics.mean)


def test_on_a_device_they_broadcast_over_images() -> None:
    mean, std = Statistics([0.1, 0.2], [1, 2]).on(torch.device("cpu"))
    assert mean.shape == std.shape == (2, 1, 1)
    assert std.flatten().tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ([0.5], None, r"^data\.mean \[0\.5\] and data\.std None belong together: give both, or null for both$"),
        ([0.5], [1, 2], r"^data\.mean \(0\.5,\) and data\.std \(1\.0, 2\.0\) belong together: give both a number"),
        ([0.5], [0.0], r"^data\.std \(0\.0,\) must be positive and data\.mean \(0\.5,\) finite in every channel$"),
        ([float("nan")], [1.0], r"finite in every channel$"),
    ],
)
def test_what_is_refused(mean: list[float], std: list[float] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        given(mean, std)


def test_null_for_both_leaves_them_to_be_measured() -> None:
    assert given(None, None) is None
