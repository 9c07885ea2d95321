"""Ranks share batches: together they have what one process alone has, whatever the images come from."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from nas.data import FileSamples, PixelSamples, Samples, Statistics
from nas.data.decoding import Views
from nas.data.stream import Batch
from nas.parallel import Ranks

CPU = torch.device("cpu")
COUNT = 14
GREY = Statistics([0.5] * 3, [0.25] * 3)


def noise() -> Tensor:
    return torch.randint(256, (COUNT, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def in_memory(folder: Path) -> Samples:
    labels = torch.arange(COUNT) % 3
    return PixelSamples(noise(), labels, num_classes=3, statistics=GREY, padding=2, flip=True)


def in_files(folder: Path) -> Samples:
    paths = [str(folder / f"{number}.png") for number in range(COUNT)]
    for path, pixels in zip(paths, noise(), strict=True):
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path)
    labels = torch.arange(COUNT) % 3
    return FileSamples(paths, labels, num_classes=3, statistics=GREY, views=Views(size=8, flip=True), workers=0)


@pytest.fixture(params=[in_memory, in_files])
def samples(request: pytest.FixtureRequest, tmp_path: Path) -> Samples:
    return request.param(tmp_path)


@pytest.mark.parametrize("size", [2, 3])
def test_the_rows_of_all_ranks_are_the_batch_of_one(samples: Samples, size: int) -> None:
    """Over three epochs: images, augmentation and labels, to the last bit."""
    settings = {"batch_size": 6, "seed": 4, "device": CPU, "cutout": 3}
    alone = samples.stream(**settings)
    shared = [samples.stream(**settings, ranks=Ranks(rank, size)) for rank in range(size)]
    assert [stream.batches_per_epoch for stream in shared] == [2] * size
    for _ in range(6):
        images, labels = next(alone)
        parts = [next(stream) for stream in shared]
        assert [len(part) for part, _ in parts] == [6 // size] * size
        assert torch.equal(torch.cat([part for part, _ in parts]), images)
        assert torch.equal(torch.cat([part for _, part in parts]), labels)
        assert [(stream.epoch, stream.batch) for stream in shared] == [(alone.epoch, alone.batch)] * size


@pytest.mark.parametrize(("size", "turns"), [(2, [[0, 2], [1]]), (4, [[0], [1], [2], []])])
def test_ranks_take_turns_in_measuring(samples: Samples, size: int, turns: list[list[int]]) -> None:
    """By whole batches of 6, 6 and 2 images; a rank may have none."""
    whole = list(samples.batches(batch_size=6, device=CPU))
    assert [len(labels) for _, labels in whole] == [6, 6, 2]
    for rank, numbers in enumerate(turns):
        found = list(samples.batches(batch_size=6, device=CPU, ranks=Ranks(rank, size)))
        assert equal(found, [whole[number] for number in numbers])


def equal(found: list[Batch], wanted: list[Batch]) -> bool:
    return len(found) == len(wanted) and all(
        torch.equal(a, b) for one, other in zip(found, wanted, strict=True) for a, b in zip(one, other, strict=True)
    )


def test_a_batch_that_cannot_be_divided_is_a_mistake(samples: Samples) -> None:
    with pytest.raises(ValueError, match=r"trainer.batch_size 5 .*trainer.devices=2; choose a multiple of 2"):
        samples.stream(batch_size=5, seed=0, device=CPU, ranks=Ranks(1, 2))
