"""The watch over the readers sees what it is there to see."""

import os
import pickle
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.faults.watch import watched


def fails(error: BaseException) -> Callable[[Path], None]:
    """A reader that raises this."""

    def read(folder: Path) -> None:
        raise error

    return read


def test_what_returns_is_accepted(tmp_path: Path) -> None:
    outcome = watched(lambda folder: (folder / "inside").write_text("x"), tmp_path, 5)
    assert (outcome.end, outcome.words) == ("accepted", "")


def test_one_line_is_a_refusal_and_all_else_a_crash(tmp_path: Path) -> None:
    assert watched(fails(ValueError("no genotype")), tmp_path, 5).end == "refused"
    assert watched(fails(OSError(2, "No such file", "a")), tmp_path, 5).end == "refused"
    for error in (ValueError("two\nlines"), ValueError(""), ValueError("x" * 5_001), KeyError("a"), MemoryError()):
        assert watched(fails(error), tmp_path, 5).end == "crashed"


def test_what_waits_is_hung_and_an_earlier_alarm_goes_on(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    before = signal.setitimer(signal.ITIMER_REAL, 100)
    try:
        start = time.monotonic()
        assert watched(lambda folder: (folder / "pipe").read_bytes(), tmp_path, 0.2).end == "hung"
        assert time.monotonic() - start < 5
        assert 50 < signal.getitimer(signal.ITIMER_REAL)[0] <= 100
    finally:
        signal.setitimer(signal.ITIMER_REAL, *before)


class Trap:
    """Calls a function when it is unpickled."""

    def __reduce__(self) -> tuple:
        return os.getpid, ()


@pytest.mark.parametrize(
    "trespass",
    [
        lambda folder: (folder.parent / "outside").write_text("x"),
        lambda folder: (folder / "link").write_text("x"),
        lambda folder: (folder.parent / "new").mkdir(),
        lambda folder: pickle.loads(pickle.dumps(Trap())),
        lambda folder: os.system("true"),
    ],
    ids=["file", "through a link", "folder", "pickle", "program"],
)
def test_what_leaves_the_folder_or_runs_something_trespasses(
    trespass: Callable[[Path], object], tmp_path: Path
) -> None:
    (tmp_path / "case").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "case" / "link").symlink_to(tmp_path / "elsewhere" / "file")
    assert watched(trespass, tmp_path / "case", 5).end == "trespassed"
