"""The batched augmentations against slow versions that loop over images and pixels."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nas.data.augmentation import Draws, crop, cutout, flip, normalise


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draws(count: int, seed: int = 0) -> Draws:
    return Draws(generator(seed), count)


def noise(count: int = 12, channels: int = 3, height: int = 6, width: int = 9) -> Tensor:
    return torch.randint(1, 256, (count, channels, height, width), generator=generator(7), dtype=torch.uint8)


def slow_crop(image: Tensor, padding: int, top: int, left: int) -> Tensor:
    _, height, width = image.shape
    window = torch.zeros_like(image)
    for row in range(height):
        for column in range(width):
            y, x = top + row - padding, left + column - padding
            if 0 <= y < height and 0 <= x < width:
                window[:, row, column] = image[:, y, x]
    return window


@pytest.mark.parametrize("padding", [1, 3])
def test_a_crop_is_one_of_the_windows_of_the_padded_image_and_each_image_has_its_own(padding: int) -> None:
    images = noise(count=60)
    windows = set()
    for image, cropped in zip(images, crop(images, padding, draws(60)), strict=True):
        matches = [
            (top, left)
            for top in range(2 * padding + 1)
            for left in range(2 * padding + 1)
            if torch.equal(cropped, slow_crop(image, padding, top, left))
        ]
        assert len(matches) == 1
        windows.update(matches)
    assert {top for top, _ in windows} == set(range(2 * padding + 1))
    assert {left for _, left in windows} == set(range(2 * padding + 1))


def test_a_crop_equals_the_slow_version_for_the_same_draws() -> None:
    images = noise()
    corners = torch.randint(2 * 2 + 1, (2, len(images)), generator=generator(3))
    expected = [slow_crop(image, 2, int(top), int(left)) for image, (top, left) in zip(images, corners.T, strict=True)]
    assert torch.equal(crop(images, 2, draws(12, 3)), torch.stack(expected))


def test_flip_mirrors_about_half_of_the_images_each_as_a_whole() -> None:
    images = noise(count=400)
    flipped = flip(images, draws(400))
    mirrored = 0
    for before, after in zip(images, flipped, strict=True):
        if torch.equal(after, before[:, :, list(reversed(range(9)))]):
            mirrored += 1
        else:
            assert torch.equal(after, before)
    assert 160 <= mirrored <= 240  # 4 standard deviations of 10 about 200


def slow_cutout(image: Tensor, length: int, y: int, x: int) -> Tensor:
    """DARTS' definition, for an even length."""
    _, height, width = image.shape
    top, bottom = min(max(y - length // 2, 0), height), min(max(y + length // 2, 0), height)
    left, right = min(max(x - length // 2, 0), width), min(max(x + length // 2, 0), width)
    result = image.clone()
    for row in range(top, bottom):
        for column in range(left, right):
            result[:, row, column] = 0
    return result


@pytest.mark.parametrize("length", [2, 6])
def test_cutout_equals_the_slow_version_at_some_centre(length: int) -> None:
    images = noise(count=40).float()
    centres = set()
    for image, erased in zip(images, cutout(images, length, draws(40)), strict=True):
        matches = [(y, x) for y in range(6) for x in range(9) if torch.equal(erased, slow_cutout(image, length, y, x))]
        assert matches
        centres.add(matches[0])
    assert len(centres) > 10


def test_cutout_16_erases_64_to_256_pixels_of_32x32_and_reaches_both_ends() -> None:
    erased = cutout(torch.ones(20_000, 3, 32, 32), 16, draws(20_000)) == 0
    assert torch.equal(erased.all(dim=1), erased.any(dim=1))  # one square, shared by the channels
    mask = erased[:, 0]
    area = mask.sum(dim=(1, 2))
    assert (int(area.min()), int(area.max())) == (64, 256)
    rows, columns = mask.any(dim=2), mask.any(dim=1)
    assert torch.equal(area, rows.sum(1) * columns.sum(1))  # the erased pixels form a rectangle
    at_corner = (rows.sum(1) == 8) & rows[:, 0] & (columns.sum(1) == 8) & columns[:, 0]
    assert at_corner.any()
    assert set(area[at_corner].tolist()) == {64}
    interior = ~rows[:, 0] & ~rows[:, -1] & ~columns[:, 0] & ~columns[:, -1]
    assert set(area[interior].tolist()) == {256}


def test_the_centre_of_a_cutout_is_uniform_over_the_pixels() -> None:
    erased = cutout(torch.ones(6_000, 1, 4, 5), 1, draws(6_000)) == 0
    assert torch.equal(erased.sum(dim=(1, 2, 3)), torch.ones(6_000, dtype=torch.int64))
    counts = erased.sum(dim=0).flatten().double()
    assert counts.sub(300).abs().max() < 5 * 300**0.5


def test_nothing_to_do_is_the_identity() -> None:
    images = noise().float()
    assert torch.equal(crop(images, 0, draws(12)), images)
    assert torch.equal(cutout(images, 0, draws(12)), images)


def test_an_augmentation_follows_from_the_generator_and_leaves_its_input_alone() -> None:
    images = noise(count=50).float()
    before = images.clone()
    for change in (
        lambda g: crop(images, 2, g),
        lambda g: flip(images, g),
        lambda g: cutout(images, 4, g),
    ):
        assert torch.equal(change(draws(50, 1)), change(draws(50, 1)))
        assert not torch.equal(change(draws(50, 1)), change(draws(50, 2)))
    assert torch.equal(images, before)


@pytest.mark.parametrize("change", [lambda x, d: crop(x, 2, d), flip, lambda x, d: cutout(x, 3, d)])
def test_rows_of_a_batch_are_changed_as_they_are_in_the_whole_batch(change: Callable[[Tensor, Draws], Tensor]) -> None:
    images = noise(count=10).float()
    whole, rows = change(images, draws(10)), slice(3, 8)
    assert torch.equal(change(images[rows], Draws(generator(), 10, rows)), whole[rows])
    assert not torch.equal(whole[rows], images[rows])


def test_normalise_in_numbers() -> None:
    mean, std = torch.tensor([0.5, 0.25]).view(2, 1, 1), torch.tensor([0.5, 0.125]).view(2, 1, 1)
    levels = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3).expand(1, 2, 1, 3)
    expected = torch.tensor([[-1.0, -0.6, 1.0], [-2.0, -0.4, 6.0]]).view(1, 2, 1, 3)
    torch.testing.assert_close(normalise(levels, mean, std), expected)
    torch.testing.assert_close(normalise(levels.double() / 255, mean, std), expected)
