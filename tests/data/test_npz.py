"""Data sets in one .npz file that holds arrays."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data import Npz, StratifiedSplit, npz

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)


def contents(**change: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "x_train": RNG.integers(0, 256, (12, 5, 6), dtype=np.uint8),
        "y_train": np.arange(12) % 3,
        "x_test": RNG.integers(0, 256, (4, 5, 6), dtype=np.uint8),
        "y_test": np.array([2, 0, 1, 0]),
        **change,
    }


def source(folder: Path, arrays: dict[str, np.ndarray]) -> Npz:
    np.savez(folder / "set.npz", **arrays)
    return Npz(root=str(folder / "set.npz"), split=StratifiedSplit())


def refusal(folder: Path, **change: np.ndarray) -> str:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        source(folder, contents(**change)).test()
    message = str(error.value)
    assert "\n" not in message
    return message.replace(str(folder), "FOLDER")


def test_grey_images(tmp_path: Path) -> None:
    arrays = contents()
    data = source(tmp_path, arrays)
    train, test = data.train(), data.test()
    assert np.array_equal(train.images.numpy(), arrays["x_train"][:, None])
    assert np.array_equal(test.images.numpy(), arrays["x_test"][:, None])
    assert (train.num_classes, train.shape, test.num_classes) == (3, (1, 5, 6), 3)
    assert (train.labels.dtype, test.labels.tolist()) == (torch.int64, [2, 0, 1, 0])
    assert train.statistics.mean == pytest.approx([arrays["x_train"].mean() / 255])
    assert train.statistics.std == pytest.approx([arrays["x_train"].std() / 255])
    assert test.statistics is train.statistics


def test_colour_images(tmp_path: Path) -> None:
    x_train = RNG.integers(0, 256, (12, 5, 6, 3), dtype=np.uint8)
    data = source(tmp_path, contents(x_train=x_train, x_test=x_train[:4]))
    assert data.train().shape == (3, 5, 6)
    assert data.train().images[7, 2, 3, 4] == x_train[7, 3, 4, 2]
    assert data.train().statistics.std == pytest.approx(x_train.std(axis=(0, 1, 2)) / 255)


def test_training_does_not_read_the_test_set(tmp_path: Path) -> None:
    data = source(tmp_path, contents(x_test=np.array([{}, []], dtype=object)))
    assert len(data.train()) == 12
    with pytest.raises(ValueError, match=r"^entry 'x_test' of .* cannot be read"):
        data.test()


def test_what_a_file_with_arrays_may_not_hold(tmp_path: Path) -> None:
    assert refusal(tmp_path, x_train=np.zeros((12, 5, 6), np.float32)) == (
        "x_train is float32 of shape (12, 5, 6); it needs to be uint8 (N, H, W) or (N, H, W, C)"
    )
    assert refusal(tmp_path, y_train=np.zeros(11, int)) == (
        "y_train is int64 of shape (11,); it needs to hold one integer for each of the 12 images in x_train: "
        "shape (12,)"
    )
    assert "y_test is int64 of shape (4, 1);" in refusal(tmp_path, y_test=np.zeros((4, 1), int))
    assert "y_train is float64 of shape (12,);" in refusal(tmp_path, y_train=np.zeros(12))
    assert refusal(tmp_path, y_test=np.array([0, 1, 2, 3])) == (
        "label 3 of image 3 is outside 0..2: number the 3 classes from 0"
    )
    assert "label -1 of image 0 is outside" in refusal(tmp_path, y_train=np.full(12, -1))
    assert refusal(tmp_path, x_test=np.zeros((4, 5, 5), np.uint8)) == (
        "the test images are (1, 5, 5) but the training images (1, 5, 6) (channels, height, width); give both one size"
    )
    empty = {"x_train": np.zeros((0, 5, 6), np.uint8), "y_train": np.zeros(0, int)}
    assert refusal(tmp_path, **empty) == "the training set is empty; a data set needs at least one image"


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    message = refusal(tmp_path, y_train=np.array([Bomb()], dtype=object))
    assert message.startswith("entry 'y_train' of 'FOLDER/set.npz' cannot be read (Object arrays cannot be loaded")


class Bomb:
    def __reduce__(self) -> tuple:
        return pytest.fail, ("a pickle was loaded",)


def test_foreign_keys_are_named_beside_the_allowed_ones(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", images=np.zeros(3), y_train=np.zeros(3))
    with pytest.raises(ValueError) as error:  # noqa: PT011
        Npz(root=str(tmp_path / "other.npz"), split=StratifiedSplit()).train()
    assert str(error.value).endswith(
        "other.npz' holds images, y_train; it needs to hold either x_train, y_train, x_test, y_test "
        "or header, data, offsets, labels, split, classes, and nothing else"
    )


@pytest.mark.parametrize("content", [b"", b"not a zip file", b"PK\x03\x04 but broken"])
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^'.*bad\.npz' is not a readable \.npz file \(.*\)$"):
        Npz(root=str(path), split=StratifiedSplit()).train()


def test_a_damaged_entry_is_one_clear_line(tmp_path: Path) -> None:
    source(tmp_path, contents(x_train=np.zeros((12, 50, 60), np.uint8)))
    path = tmp_path / "set.npz"
    content = bytearray(path.read_bytes())
    content[20_000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^entry 'x_train' of '.*set\.npz' cannot be read \(Bad CRC-32 .*\)$"):
        Npz(root=str(path), split=StratifiedSplit()).train()


def test_a_single_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"array\.npy' is a single array; data\.root wants an \.npz file either x_tr"):
        Npz(root=str(tmp_path / "array.npy"), split=StratifiedSplit()).train()


def test_a_missing_file_and_a_missing_name(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^data.root: '.*none\.npz' cannot be read: No such file or directory; point it"
    ):
        Npz(root=str(tmp_path / "none.npz"), split=StratifiedSplit()).train()
    with pytest.raises(ValueError, match=r"^data=npz needs a file: give data\.root=FILE\.npz$"):
        Npz(root=None, split=StratifiedSplit())


@pytest.mark.skipif("NAS_DATA_DIR" not in os.environ, reason="NAS_DATA_DIR names no folder with mnist.npz")
def test_mnist() -> None:
    data = Npz(root=os.environ["NAS_DATA_DIR"] + "/mnist.npz", split=StratifiedSplit())
    train, test = data.train(), data.test()
    assert (len(train), len(test), train.num_classes, train.shape) == (60_000, 10_000, 10, (1, 28, 28))
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]  # as printed in every MNIST tutorial
    assert (*train.statistics.mean, *train.statistics.std) == pytest.approx((0.1307, 0.3081), abs=5e-5)


def test_a_file_that_becomes_much_larger_is_refused_before_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "set.npz"
    np.savez_compressed(path, **contents(x_train=np.zeros((12, 500, 500), np.uint8)))
    source = Npz(root=str(path), split=StratifiedSplit())
    assert source.train().shape == (1, 500, 500)
    monkeypatch.setattr(npz, "ALWAYS_ALLOWED", 1_000)
    with pytest.raises(ValueError, match=r"unpacked it has 3,00\d,\d+ bytes; a file of its size"):
        Npz(root=str(path), split=StratifiedSplit()).train()


def test_a_header_that_says_more_than_there_is(tmp_path: Path) -> None:
    source(tmp_path, contents())
    path = tmp_path / "set.npz"
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    for shape in (b"(10000000, 5, 6)", b"(10000000000, 5, 6)"):
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in entries.items():
                archive.writestr(name, content.replace(b"(12, 5, 6)", shape) if name == "x_train.npy" else content)
        with pytest.raises(ValueError, match=r"^entry 'x_train' of '.*set\.npz' cannot be read \("):
            Npz(root=str(path), split=StratifiedSplit()).train()


def test_an_entry_that_is_no_array(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("x_train", "y_train", "x_test", "y_test"):
            archive.writestr(f"{name}.npy", b"hello")
    with pytest.raises(ValueError, match=r"^entry 'x_train' of '.*set\.npz' is no array$"):
        Npz(root=str(path), split=StratifiedSplit()).train()


def test_images_without_pixels(tmp_path: Path) -> None:
    assert "x_train is uint8 of shape (12, 0, 6);" in refusal(tmp_path, x_train=np.zeros((12, 0, 6), np.uint8))
