"""Data sets in one .npz file that holds JPEG images with a common header."""

import io
import logging
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data import Npz, OrderedSplit, jpeg_pack


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def encode(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=75)
    return file.getvalue()


def end_of_header(file: bytes) -> int:
    """The length of everything up to the end of the start-of-scan segment."""
    start = file.index(b"\xff\xda")
    return start + 2 + int.from_bytes(file[start + 2 : start + 4], "big")


def contents(channels: int = 3) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """(a pack of 6 training and 3 test images, what PIL decodes from them)."""
    shape = (9, 16, 24) if channels == 1 else (9, 16, 24, channels)
    files = [encode(pixels) for pixels in np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)]
    cut = end_of_header(files[0])
    assert len({file[:cut] for file in files}) == 1
    scans = [file[cut:] for file in files]
    pack = {
        "header": np.frombuffer(files[0][:cut], np.uint8),
        "data": np.frombuffer(b"".join(scans), np.uint8),
        "offsets": np.cumsum([0, *map(len, scans)]),
        "labels": np.array([0, 1, 2, 1, 0, 2, 1, 1, 0], np.uint8),
        "split": np.array([0, 1, 0, 0, 1, 0, 0, 1, 0], np.uint8),
        "classes": np.array(["ant", "bee", "cat", "dog"]),
    }
    decoded = np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files])
    return pack, decoded.reshape(9, 16, 24, channels).transpose(0, 3, 1, 2)


def source(folder: Path, pack: dict[str, np.ndarray]) -> Npz:
    np.savez(folder / "pack.npz", **pack)
    return Npz(root=str(folder / "pack.npz"), split=OrderedSplit())


def refusal(folder: Path, **change: np.ndarray) -> str:
    pack, _ = contents()
    with pytest.raises(ValueError) as error:  # noqa: PT011
        source(folder, {**pack, **change}).train()
    message = str(error.value)
    assert "\n" not in message
    return message.replace(str(folder), "FOLDER")


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_what_pil_decodes(tmp_path: Path, channels: int) -> None:
    pack, decoded = contents(channels)
    for _ in range(2):  # decoded, and then from the cache
        data = source(tmp_path, pack)
        train, test = data.train(), data.test()
        assert np.array_equal(train.images.numpy(), decoded[[0, 2, 3, 5, 6, 8]])
        assert np.array_equal(test.images.numpy(), decoded[[1, 4, 7]])
        assert train.labels.tolist() == [0, 2, 1, 2, 1, 0]
        assert test.labels.tolist() == [1, 0, 1]
        assert (train.num_classes, test.num_classes, train.shape) == (4, 4, (channels, 16, 24))


def test_the_second_reading_comes_from_the_cache(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = source(tmp_path, contents()[0])
    first, test = data.train().images, data.test().images
    assert [path.name.startswith("pack.npz-") for path in cache.iterdir()] == [True, True]
    monkeypatch.setattr(Image, "open", lambda *args, **kwargs: pytest.fail("decoded again"))
    again = Npz(root=str(tmp_path / "pack.npz"), split=OrderedSplit())
    assert np.array_equal(first.numpy(), again.train().images.numpy())
    assert np.array_equal(test.numpy(), again.test().images.numpy())


def test_a_changed_file_of_the_same_size_is_decoded_again(tmp_path: Path) -> None:
    pack, decoded = contents()
    source(tmp_path, pack).train()
    size = (tmp_path / "pack.npz").stat().st_size
    changed = source(tmp_path, {**pack, "split": pack["split"][[1, 0, *range(2, 9)]]})
    os.utime(tmp_path / "pack.npz", ns=(1, 1))
    assert (tmp_path / "pack.npz").stat().st_size == size
    assert np.array_equal(changed.train().images.numpy(), decoded[[1, 2, 3, 5, 6, 8]])


@pytest.mark.parametrize("damage", ["truncated", "one bit", "text", "other shape"])
def test_a_damaged_cache_is_rebuilt(tmp_path: Path, cache: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    pack, decoded = contents()
    source(tmp_path, pack).train()
    (entry,) = cache.iterdir()
    whole = entry.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    if damage == "other shape":
        np.savez(entry, images=np.zeros((5, 16, 24, 3), np.uint8))
    else:
        entry.write_bytes({"truncated": whole[:-50], "one bit": bytes(flipped), "text": b"text"}[damage])
    mtime = (tmp_path / "pack.npz").stat().st_mtime_ns
    with caplog.at_level(logging.WARNING):
        again = Npz(root=str(tmp_path / "pack.npz"), split=OrderedSplit()).train()
    assert mtime == (tmp_path / "pack.npz").stat().st_mtime_ns
    assert np.array_equal(again.images.numpy(), decoded[[0, 2, 3, 5, 6, 8]])
    with np.load(entry) as rebuilt:
        assert rebuilt["images"].shape == (6, 16, 24, 3)
    assert [path.name for path in cache.iterdir()] == [entry.name]


def test_a_cache_that_cannot_be_written_costs_only_a_warning(
    tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.write_text("a file where the folder should be")
    assert len(source(tmp_path, contents()[0]).train()) == 6
    assert "decoded images are not kept: cannot write" in caplog.text


def test_what_a_pack_may_not_hold(tmp_path: Path) -> None:
    pack, _ = contents()
    assert refusal(tmp_path, labels=pack["labels"][:-1]) == (
        "labels of 'FOLDER/pack.npz' is uint8 of shape (8,); it needs one integer for each of the 9 images of offsets"
    )
    assert refusal(tmp_path, split=pack["split"] + 1) == (
        "split of 'FOLDER/pack.npz' holds [1 2]; allowed are 0 (train) and 1 (test)"
    )
    assert refusal(tmp_path, split=np.ones(9, np.uint8)) == (
        "split of 'FOLDER/pack.npz' marks no image as train; it needs at least one"
    )
    assert "label 7 of image 0 is outside 0..3" in refusal(tmp_path, labels=pack["labels"] + np.uint8(7))
    assert "offsets of 'FOLDER/pack.npz' run from 1 to" in refusal(tmp_path, offsets=pack["offsets"] + 1)
    assert "offsets of 'FOLDER/pack.npz' run from" in refusal(tmp_path, offsets=pack["offsets"][::-1])
    assert "header of 'FOLDER/pack.npz' is int64 (3,);" in refusal(tmp_path, header=np.arange(3))
    assert "offsets of 'FOLDER/pack.npz' is float64 (10,);" in refusal(tmp_path, offsets=pack["offsets"] * 1.0)


def test_an_image_that_does_not_decode_is_named(tmp_path: Path) -> None:
    pack, _ = contents()
    offsets = pack["offsets"].copy()
    offsets[3] = offsets[2] + 5  # image 2 ends too early
    assert refusal(tmp_path, offsets=offsets).startswith("image 2 of 'FOLDER/pack.npz' does not decode as JPEG (")
    assert refusal(tmp_path, header=pack["header"][4:]).startswith("image 0 of 'FOLDER/pack.npz' does not decode")


@pytest.mark.slow
@pytest.mark.skipif("NAS_DATA_DIR" not in os.environ, reason="NAS_DATA_DIR names no folder with cifar10_jpeg.npz")
def test_cifar10_jpeg() -> None:
    data = Npz(root=os.environ["NAS_DATA_DIR"] + "/cifar10_jpeg.npz", split=OrderedSplit())
    train = data.train()
    assert (len(train), train.num_classes, train.shape) == (50_000, 10, (3, 32, 32))
    assert train.labels[:5].tolist() == [6, 9, 9, 4, 1]  # torchvision's order
    assert train.statistics.mean == pytest.approx((0.49125, 0.48209, 0.44652), abs=1e-5)  # the data's own README
    assert train.statistics.std == pytest.approx((0.24523, 0.24278, 0.26063), abs=1e-5)
    first, second = data.split(train)
    assert (len(first), len(second)) == (25_000, 25_000)


def test_classes_that_are_no_names(tmp_path: Path) -> None:
    for classes in (np.array("ant"), np.zeros(3), np.zeros(0, "U3")):
        assert "it needs to be names (K,)" in refusal(tmp_path, classes=classes)


def test_a_billion_classes_that_take_no_bytes(tmp_path: Path) -> None:
    """An array of names without letters, as its header alone can say."""
    names = io.BytesIO()
    np.lib.format.write_array_header_1_0(names, {"descr": "<U0", "fortran_order": False, "shape": (10**9,)})
    pack, _ = contents()
    del pack["classes"]
    source(tmp_path, pack)
    with zipfile.ZipFile(tmp_path / "pack.npz", "a") as archive:
        archive.writestr("classes.npy", names.getvalue())
    with pytest.raises(ValueError, match=r"^classes of .* is <U0 \(1000000000,\); it needs to be names \(K,\)$"):
        Npz(root=str(tmp_path / "pack.npz"), split=OrderedSplit()).train()


def test_an_image_of_another_size_is_named(tmp_path: Path) -> None:
    pack, _ = contents()
    other = encode(np.zeros((8, 8, 3), np.uint8))
    header = np.frombuffer(b"", np.uint8)
    first = pack["header"].tobytes() + pack["data"][: pack["offsets"][1]].tobytes()
    files = [first, *[other] * 8]
    changed = {
        "header": header,
        "data": np.frombuffer(b"".join(files), np.uint8),
        "offsets": np.cumsum([0, *map(len, files)]),
    }
    assert refusal(tmp_path, **changed) == (
        "image 2 of 'FOLDER/pack.npz' has the shape (8, 8, 3), image 0 (16, 24, 3); give all one"
    )


def test_blank_images_that_fill_the_memory_are_refused_before_they_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jpeg_pack, "ALWAYS_ALLOWED", 1_000)
    monkeypatch.setattr(jpeg_pack, "LARGEST_EXPANSION", 10)
    file = encode(np.zeros((512, 512, 3), np.uint8))
    changed = {"header": np.frombuffer(b"", np.uint8), "data": np.frombuffer(file * 9, np.uint8)}
    message = refusal(tmp_path, **changed, offsets=len(file) * np.arange(10))
    allowed = jpeg_pack.LARGEST_EXPANSION * 9 * len(file)
    assert message == f"'FOLDER/pack.npz' has 4,718,592 bytes of pixels; a pack of its size may have {allowed:,}"
