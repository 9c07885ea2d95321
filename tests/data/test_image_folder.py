"""Images in folders."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from nas.data import ImageFolder, OrderedSplit, StratifiedSplit, Stream
from nas.data.stream import Shuffle

CPU = torch.device("cpu")
# A machine with fewer cores than the two workers of a test is warned about.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes with 4 textured 40x30 images for training, and one 32x32 image of one colour for validation."""
    folder = tmp_path_factory.mktemp("pictures")
    numbers = np.random.default_rng(0)
    for label, name in enumerate(("ant", "bee", "cat")):
        for index in range(4):
            save(numbers.integers(0, 256, (30, 40, 3), dtype=np.uint8), folder / "train" / name / f"{index}.png")
        save(np.full((32, 32, 3), 100 * label, np.uint8), folder / "val" / name / "0.png")
    (folder / "train" / "ant" / "notes.txt").write_text("no image")
    return folder


def save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def source(root: Path | None, **options: Any) -> ImageFolder:
    options = {"size": 16, "workers": 0, "mean": [0.5] * 3, "std": [0.25] * 3, "split": StratifiedSplit(), **options}
    return ImageFolder(root=None if root is None else str(root), **options)


def take(stream: Stream, count: int) -> list[tuple[Tensor, Tensor]]:
    return [next(stream) for _ in range(count)]


def stacked(stream: Stream, count: int = 7) -> Tensor:
    return torch.stack([images for images, _ in take(stream, count)])


def test_images_and_labels_are_found_in_the_order_of_their_names(root: Path) -> None:
    train = source(root).train()
    assert [Path(path).relative_to(root).as_posix() for path in train.paths[3:6]] == [
        "train/ant/3.png",
        "train/bee/0.png",
        "train/bee/1.png",
    ]
    assert train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert (len(train), train.num_classes, train.shape) == (12, 3, (3, 16, 16))


def test_a_pass_is_the_normalised_centre(root: Path) -> None:
    test = source(root).test()
    ((images, labels), (rest, _)) = test.batches(batch_size=2, device=CPU)
    assert labels.tolist() == [0, 1]
    assert images.dtype == torch.float32
    for level, image in zip((0, 100, 200), (*images, *rest), strict=True):
        torch.testing.assert_close(image, torch.full((3, 16, 16), (level / 255 - 0.5) / 0.25))


def test_the_centre_is_cut_out_after_shrinking_by_224_to_256(tmp_path: Path) -> None:
    striped = np.zeros((64, 64, 3), np.uint8)
    striped[:, :4] = striped[:, -4:] = 255  # 2 of 32 columns after shrinking: the crop of 28 leaves them out
    for part in ("train", "test"):
        save(striped, tmp_path / part / "only" / "0.png")
    ((images, _),) = source(tmp_path, size=28).test().batches(batch_size=1, device=CPU)
    assert images[..., 1:-1].unique().tolist() == [-2.0]


def test_the_same_batches_with_and_without_workers_and_for_the_same_seed(root: Path) -> None:
    def stream(workers: int, seed: int) -> Stream:
        return source(root, workers=workers).train().stream(batch_size=5, seed=seed, device=CPU, cutout=4)

    alone, again, other = stacked(stream(0, 3)), stacked(stream(0, 3)), stacked(stream(0, 4))
    assert torch.equal(alone, again)
    assert not torch.equal(alone, other)
    assert torch.equal(alone, stacked(stream(2, 3)))


def test_a_pass_is_the_same_with_workers(root: Path) -> None:
    def images(workers: int) -> Iterator[Tensor]:
        return (batch for batch, _ in source(root, workers=workers).train().batches(batch_size=5, device=CPU))

    for alone, shared in zip(images(0), images(2), strict=True):
        assert torch.equal(alone, shared)


def test_epochs_follow_the_shuffle_and_each_visit_has_a_view_of_its_own(root: Path) -> None:
    train = source(root).train()
    stream = train.stream(batch_size=5, seed=1, device=CPU)
    assert stream.batches_per_epoch == 2
    places, views = [], set()
    shuffle = Shuffle(12, batch_size=5, seed=1)
    for epoch in range(3):
        for batch in range(2):
            places.append((stream.epoch, stream.batch))
            images, labels = next(stream)
            assert labels.tolist() == train.labels[shuffle.order(epoch)[batch]].tolist()
            views.update(tuple(image.flatten().tolist()) for image in images)
    assert places == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    assert len(views) == 30


def test_a_stream_neither_reads_nor_moves_the_global_random_state(root: Path) -> None:
    train = source(root).train()
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = stacked(train.stream(batch_size=5, seed=0, device=CPU))
    list(train.batches(batch_size=5, device=CPU))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    assert torch.equal(first, stacked(train.stream(batch_size=5, seed=0, device=CPU)))


def test_cutout_erases_one_square_of_zeros_in_each_image(root: Path) -> None:
    train = source(root).train()
    whole, _ = next(train.stream(batch_size=12, seed=0, device=CPU))
    erased, _ = next(train.stream(batch_size=12, seed=0, device=CPU, cutout=4))
    changed = (whole != erased).any(dim=1)
    assert (erased.movedim(1, -1)[changed] == 0).all()
    assert all(4 <= int(area) <= 16 for area in changed.sum(dim=(1, 2)))


def test_halves_hold_every_file_once(root: Path) -> None:
    data = source(root)
    train, valid = data.split(data.train())
    assert sorted(train.paths + valid.paths) == sorted(data.train().paths)
    assert train.labels.tolist() == valid.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert all(
        f"/{['ant', 'bee', 'cat'][label]}/" in path for path, label in zip(valid.paths, valid.labels, strict=True)
    )


def test_what_a_stream_refuses(root: Path) -> None:
    data = source(root, split=OrderedSplit())
    first, _ = data.split(data.train())
    with pytest.raises(
        ValueError, match=r"^trainer\.batch_size 7 is larger than the split of 6 images; choose at most 6$"
    ):
        first.stream(batch_size=7, seed=0, device=CPU)
    with pytest.raises(ValueError, match=r"^trainer\.batch_size 0 is not a number of images; choose at least 1$"):
        first.batches(batch_size=0, device=CPU)
    with pytest.raises(ValueError, match=r"^trainer\.cutout -2 does not fit into images of 16x16; choose 0 "):
        first.stream(batch_size=2, seed=0, device=CPU, cutout=-2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, r"^data\.size 0 is not a number of pixels; choose at least 1$"),
        ({"workers": -1}, r"^data\.workers -1 is negative; choose 0 \(decode in the main process\) or more$"),
        ({"cutout": 17}, r"^data\.cutout 17 does not fit into images of 16x16; choose 0 to 16$"),
        ({"mean": [0.5], "std": [0.5]}, r"^data\.mean has 1 numbers but the images have 3 channels;"),
    ],
)
def test_options_that_are_refused(root: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        source(root, **options)


def test_folders_that_are_refused(tmp_path: Path) -> None:
    def refusal(part: str) -> str:
        with pytest.raises(ValueError) as error:  # noqa: PT011
            source(tmp_path).train() if part == "train" else source(tmp_path).test()
        return str(error.value).replace(str(tmp_path), "ROOT")

    with pytest.raises(ValueError, match=r"^data=image_folder needs a folder with train/ and val/: give data\.root="):
        source(None)
    assert refusal("train") == "there is no folder 'ROOT/train'; data.root wants train/CLASS/* and val/CLASS/*"
    assert refusal("test") == "'ROOT' has neither a folder 'val' nor 'test'; data.root wants one of them"
    (tmp_path / "train").mkdir()
    assert refusal("train") == "'ROOT/train' holds no folders; it needs one for each class, with its images"
    (tmp_path / "train" / "ant").mkdir()
    assert refusal("train").startswith("'ROOT/train/ant' holds no images; a class needs at least one with a name in *.")
    save(np.zeros((4, 4), np.uint8), tmp_path / "test" / "bee" / "0.png")
    assert refusal("test") == (
        "the classes in 'test' and 'train' of 'ROOT' differ in ant, bee; both need the same folders"
    )


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    for part in ("train", "val"):
        (tmp_path / part / "ant").mkdir(parents=True)
        (tmp_path / part / "ant" / "0.png").write_bytes(b"no image")
    with pytest.raises(
        ValueError, match=r"^'.*train/ant/0\.png' does not decode as an image \(.*\); replace or remove"
    ):
        next(source(tmp_path).train().stream(batch_size=1, seed=0, device=CPU))


def test_workers_do_not_hear_what_is_told_to_a_whole_group(root: Path) -> None:
    made = [source(root, workers=workers).train() for workers in (0, 1)]
    alone, shared = (samples.stream(batch_size=3, seed=0, device=CPU) for samples in made)
    torch.testing.assert_close(stacked(shared, 1), stacked(alone, 1), rtol=0, atol=0)
    for process in multiprocessing.active_children():
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(process.pid or 0, number)
    torch.testing.assert_close(stacked(shared, 9), stacked(alone, 9), rtol=0, atol=0)
