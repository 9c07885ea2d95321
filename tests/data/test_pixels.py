"""Streams and passes over images in memory. Image i of the fixture has the value i in every pixel."""

import pytest
import torch
from torch import Tensor

from nas.data import PixelSamples, Statistics
from nas.data.augmentation import Draws, crop, cutout, flip, normalise
from nas.data.pixels import PixelStream
from nas.data.stream import Shuffle, derived_seed
from tests.optimization.tape import NoWaiting

CPU = torch.device("cpu")
IDENTITY = Statistics([0.0], [1.0])


def constant(count: int = 23) -> PixelSamples:
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(count, 1, 4, 4)
    return PixelSamples(images, torch.arange(count) % 5, num_classes=5, statistics=IDENTITY)


def textured(count: int = 23, **augmentation: int) -> PixelSamples:
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)
    statistics = Statistics([0.5, 0.4, 0.3], [0.2, 0.3, 0.4])
    return PixelSamples(images, torch.arange(count) % 5, num_classes=5, statistics=statistics, **augmentation)


def indices(images: Tensor) -> list[int]:
    return (images[:, 0, 0, 0] * 255).round().long().tolist()


def take(stream: PixelStream, count: int) -> list[tuple[Tensor, Tensor]]:
    return [next(stream) for _ in range(count)]


def test_every_epoch_visits_each_image_at_most_once_in_an_order_of_its_own() -> None:
    stream = constant().stream(batch_size=4, seed=0, device=CPU)
    assert stream.batches_per_epoch == 5
    epochs = [[i for images, _ in take(stream, 5) for i in indices(images)] for _ in range(4)]
    for epoch, visited in enumerate(epochs):
        assert len(set(visited)) == 20
        assert set(visited) <= set(range(23))
        assert visited == Shuffle(23, batch_size=4, seed=0).order(epoch).flatten().tolist()
    assert len({tuple(visited) for visited in epochs}) == 4
    assert {i for visited in epochs for i in visited} == set(range(23))  # what is left out differs from epoch to epoch


def test_labels_stay_with_their_images() -> None:
    for images, labels in take(constant().stream(batch_size=6, seed=1, device=CPU), 9):
        assert labels.dtype == torch.int64
        assert labels.tolist() == [i % 5 for i in indices(images)]


def test_a_stream_says_which_batch_comes_next() -> None:
    stream = constant().stream(batch_size=10, seed=0, device=CPU)
    places = []
    for _ in range(5):
        places.append((stream.epoch, stream.batch))
        next(stream)
    assert places == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]


def test_the_seed_decides_everything() -> None:
    samples = textured(padding=2, flip=True)

    def batches(seed: int) -> Tensor:
        stream = samples.stream(batch_size=5, seed=seed, device=CPU, cutout=4)
        return torch.stack([images for images, _ in take(stream, 9)])

    assert torch.equal(batches(3), batches(3))
    assert not torch.equal(batches(3), batches(4))


def test_a_stream_neither_reads_nor_moves_the_global_random_state() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    stream = textured(padding=1).stream(batch_size=5, seed=0, device=CPU, cutout=2)
    first = take(stream, 6)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    second = take(textured(padding=1).stream(batch_size=5, seed=0, device=CPU, cutout=2), 6)
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(first, second, strict=True))


def test_a_batch_is_cropped_flipped_normalised_and_erased_in_this_order() -> None:
    samples = textured(padding=2, flip=True)
    stream = samples.stream(batch_size=11, seed=9, device=CPU, cutout=4)
    take(stream, 3)
    images, _ = next(stream)  # epoch 1, batch 1
    draws = Draws(torch.Generator().manual_seed(derived_seed("augment", 9, 1, 1)), 11)
    expected = samples.images[Shuffle(23, batch_size=11, seed=9).order(1)[1]]
    expected = flip(crop(expected, 2, draws), draws)
    mean, std = torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1), torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)
    expected = cutout(normalise(expected, mean, std), 4, draws)
    assert images.dtype == torch.float32
    assert torch.equal(images, expected)


def test_padding_is_black_before_normalisation_and_cutout_is_zero_after_it() -> None:
    white = PixelSamples(
        torch.full((50, 1, 8, 8), 255, dtype=torch.uint8),
        torch.zeros(50, dtype=torch.int64),
        num_classes=1,
        statistics=Statistics([0.5], [0.25]),
        padding=2,
    )
    images, _ = next(white.stream(batch_size=50, seed=0, device=CPU, cutout=2))
    assert set(images.flatten().tolist()) == {-2.0, 0.0, 2.0}  # black, erased, white


def test_neighbouring_batches_and_epochs_are_augmented_differently() -> None:
    samples = textured(count=1, padding=3)
    stream = samples.stream(batch_size=1, seed=0, device=CPU)
    crops = {tuple(images.flatten().tolist()) for images, _ in take(stream, 60)}
    assert len(crops) > 25  # of 49 windows


def test_a_pass_holds_every_image_once_in_order_without_augmentation() -> None:
    samples = textured(padding=3, flip=True)
    passed = list(samples.batches(batch_size=5, device=CPU))
    assert [len(labels) for _, labels in passed] == [5, 5, 5, 5, 3]
    assert torch.equal(torch.cat([labels for _, labels in passed]), samples.labels)
    restored = torch.cat([images for images, _ in passed]).double()
    restored = restored * torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1) + torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)
    torch.testing.assert_close(restored * 255, samples.images.double(), atol=1e-4, rtol=0)


def test_a_stream_never_waits_for_the_device() -> None:
    stream = textured(padding=2, flip=True).stream(batch_size=4, seed=0, device=CPU, cutout=3)
    with NoWaiting():
        assert len(take(stream, 2 * stream.batches_per_epoch)) == 10


def test_batches_lie_in_memory_as_those_of_a_pass() -> None:
    """What is compiled for the one runs on the other."""
    samples = textured(padding=2, flip=True)
    (streamed, _), (in_order, _) = (
        next(batches)
        for batches in (samples.stream(batch_size=4, seed=0, device=CPU), samples.batches(batch_size=4, device=CPU))
    )
    assert streamed.stride() == in_order.stride()
    assert streamed.dtype == in_order.dtype


def test_a_subset_holds_the_chosen_images_and_keeps_the_augmentation() -> None:
    subset = constant().subset(torch.tensor([7, 3, 20]))
    ((images, labels),) = subset.batches(batch_size=9, device=CPU)
    assert indices(images) == [7, 3, 20]
    assert labels.tolist() == [2, 3, 0]
    assert (len(subset), subset.num_classes, subset.shape) == (3, 5, (1, 4, 4))
    kept = textured(padding=2, flip=True).subset(torch.arange(4))
    assert (kept.padding, kept.flip) == (2, True)


def test_the_images_are_copied_to_a_device_once() -> None:
    samples = textured()
    meta = torch.device("meta")
    assert samples.on(meta) is samples.on(meta)
    assert samples.on(meta).images.device == meta


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"batch_size": 512},
            "trainer.batch_size 512 is larger than the split of 23 images; choose at most 23",
        ),
        ({"batch_size": 0}, "trainer.batch_size 0 is not a number of images; choose at least 1"),
        ({"batch_size": 4, "cutout": -1}, "trainer.cutout -1 does not fit into images of 8x8; choose 0 (none) to 8"),
        ({"batch_size": 4, "cutout": 9}, "trainer.cutout 9 does not fit into images of 8x8; choose 0 (none) to 8"),
        ({"batch_size": 4, "seed": -3}, "seed -3 is negative; choose 0 or more"),
    ],
)
def test_what_a_stream_refuses(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        textured().stream(**{"seed": 0, "device": CPU, **arguments})
    assert str(error.value) == message


def test_a_pass_refuses_an_empty_batch_at_once() -> None:
    with pytest.raises(ValueError, match=r"^trainer\.batch_size 0 is not a number of images; choose at least 1$"):
        textured().batches(batch_size=0, device=CPU)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": torch.zeros(3, dtype=torch.int64)}, "there are 2 images but 3 labels; give one label an image"),
        ({"labels": torch.tensor([0, 2])}, "label 2 of image 1 is outside 0..1: number the 2 classes from 0"),
        ({"labels": torch.tensor([-1, 0])}, "label -1 of image 0 is outside 0..1: number the 2 classes from 0"),
        ({"padding": 4}, "data.padding 4 does not suit images of 5x4; choose 0 (no crop) to 3"),
        (
            {"statistics": Statistics([0.0] * 3, [1.0] * 3)},
            "data.mean has 3 numbers but the images have 1 channels; "
            "give one a channel, or null to compute them from the training images",
        ),
        (
            {"images": torch.zeros(0, 1, 5, 4), "labels": torch.zeros(0, dtype=torch.int64)},
            "a data set needs at least one image; this one is empty",
        ),
    ],
)
def test_what_samples_refuse(change: dict, message: str) -> None:
    arguments = {
        "images": torch.zeros(2, 1, 5, 4),
        "labels": torch.tensor([0, 1]),
        "num_classes": 2,
        "statistics": IDENTITY,
        **change,
    }
    with pytest.raises(ValueError) as error:  # noqa: PT011
        PixelSamples(arguments.pop("images"), arguments.pop("labels"), **arguments)
    assert str(error.value) == message
