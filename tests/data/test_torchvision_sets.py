"""Torchvision's data sets, from small files in their formats."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from nas.data import StratifiedSplit, Torchvision
from nas.data.torchvision_sets import SETS
from nas.data.vision import torchvision

NUMBERS = np.random.default_rng(0)


def source(name: str, root: Path, **options: Any) -> Torchvision:
    return Torchvision(name=name, root=str(root), split=StratifiedSplit(), **options)


def write_idx(path: Path, array: np.ndarray) -> None:
    """The format of MNIST's files: two zero bytes, the type, the number of dimensions, each size, then the bytes."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_mnist_format(tmp_path: Path, name: str) -> None:
    images = {"train": NUMBERS.integers(0, 256, (6, 28, 28), dtype=np.uint8)}
    images["t10k"] = images["train"][:2] // 2
    for part, pixels in images.items():
        raw = tmp_path / SETS[name].kind / "raw"
        write_idx(raw / f"{part}-images-idx3-ubyte", pixels)
        write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(len(pixels), dtype=np.uint8) + 3)
    data = source(name, tmp_path)
    assert np.array_equal(data.train().images.numpy(), images["train"][:, None])
    assert np.array_equal(data.test().images.numpy(), images["t10k"][:, None])
    assert data.train().labels.tolist() == [3, 4, 5, 6, 7, 8]
    assert (data.test().labels.tolist(), data.test().num_classes) == ([3, 4], 10)


@pytest.mark.parametrize(("name", "key", "classes"), [("cifar10", "labels", 10), ("cifar100", "fine_labels", 100)])
def test_cifar_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, key: str, classes: int) -> None:
    kind = getattr(torchvision.datasets, SETS[name].kind)
    # No checksums: the real files are too large for a test.
    monkeypatch.setattr(kind, "train_list", [["train", None]])
    monkeypatch.setattr(kind, "test_list", [["test", None]])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "filename": "meta", "md5": None})
    planes = NUMBERS.integers(0, 256, (5, 3, 32, 32), dtype=np.uint8)
    folder = tmp_path / kind.base_folder
    folder.mkdir()
    for part, chosen in (("train", slice(0, 3)), ("test", slice(3, 5))):
        batch = {"data": planes[chosen].reshape(-1, 3072), key: [0, 9, 4, 2, 1][chosen]}
        (folder / part).write_bytes(pickle.dumps(batch))
    (folder / "meta").write_bytes(pickle.dumps({kind.meta["key"]: ["a"]}))
    data = source(name, tmp_path)
    assert np.array_equal(data.train().images.numpy(), planes[:3])
    assert np.array_equal(data.test().images.numpy(), planes[3:])
    assert (data.train().labels.tolist(), data.test().labels.tolist()) == ([0, 9, 4], [2, 1])
    assert data.train().num_classes == classes


def test_svhn_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {part: ["", f"{part}.mat", None] for part in ("train", "test")}
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", files)
    images = NUMBERS.integers(0, 256, (32, 32, 3, 4), dtype=np.uint8)
    for part in files:
        scipy.io.savemat(tmp_path / f"{part}.mat", {"X": images, "y": np.array([[1], [10], [9], [2]], np.uint8)})
    monkeypatch.setattr(torchvision.datasets.SVHN, "_check_integrity", lambda self: True)
    train = source("svhn", tmp_path).train()
    assert np.array_equal(train.images.numpy(), images.transpose(3, 2, 0, 1))
    assert train.labels.tolist() == [1, 0, 9, 2]  # the files number the digit 0 as 10


@pytest.mark.parametrize("name", SETS)
def test_missing_files_are_one_line_that_says_what_to_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        source(name, tmp_path / "nothing").train()
    assert str(error.value) == (
        f"{name} is missing or damaged in '{tmp_path}/nothing': data.download=true downloads it, "
        "or point data.root elsewhere"
    )


@pytest.mark.parametrize("name", SETS)
def test_a_download_without_a_connection_is_one_line_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def offline(*args: Any, **kwargs: Any) -> None:
        raise OSError("Network is\nunreachable")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    with pytest.raises(ValueError) as error:  # noqa: PT011
        source(name, tmp_path, download=True).train()
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(f"{name} could not be downloaded to '{tmp_path}' (")
    assert message.endswith("): check the connection, or point data.root at a folder that holds it")


def test_options_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^there is no torchvision data set 'minst' here; there are mnist, fashion_"):
        source("minst", tmp_path)
    with pytest.raises(ValueError, match=r"^mnist needs a folder: give data\.root=FOLDER$"):
        Torchvision(name="mnist", root="", split=StratifiedSplit())
