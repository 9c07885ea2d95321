"""Opening what may be no file, or too large a one."""

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.reading import opened, read_bytes, read_text


def refusal(path: Path, limit: int = 10) -> str:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        read_text(path, limit)
    assert repr(str(path)) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_file_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("zehn µ\n")
    assert read_text(path, 8) == "zehn µ\n"
    assert read_bytes(path, 8) == path.read_bytes()
    with opened(path, 8) as file:
        assert file.read(4) == b"zehn"
    assert refusal(path, 7).endswith("has 8 bytes or more; a file of its kind may have 7")


def test_a_high_limit_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(3 * 10**6))
    tracemalloc.start()
    assert read_bytes(tmp_path / "a", 2**60) == bytes(3 * 10**6)
    assert tracemalloc.get_traced_memory()[1] < 10**8
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "cannot be read: No such file or directory"),
        (lambda path: path.mkdir(), "is a folder, not a file"),
        (lambda path: os.mkfifo(path), "is a pipe, not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device, not a file"),
        (lambda path: path.symlink_to(path.name), "cannot be read: Too many levels of symbolic links"),
        (lambda path: path.write_bytes(b"abc\xff"), "is not text: byte 3 is not UTF-8"),
        (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 2**40), "has 1,099,511,627,776 bytes or"),
    ],
)
def test_what_is_no_text_file_is_named_at_once(make: Callable[[Path], object], words: str, tmp_path: Path) -> None:
    make(tmp_path / "a")
    assert words in refusal(tmp_path / "a")


@pytest.mark.skipif(not Path("/proc/self/environ").is_file(), reason="this system has no /proc")
def test_a_file_that_is_longer_than_it_says_is_not_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert os.stat("/proc/self/status").st_size == 0
    assert "has 11 bytes or more" in refusal(Path("/proc/self/status"))


def test_a_name_that_no_path_has() -> None:
    assert "cannot be read: File name too long" in refusal(Path("x" * 5_000))
