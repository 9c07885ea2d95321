"""A run that cannot write says what, why and where its last good state is, and goes on from there to the same bits."""

import errno
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.cli.resuming import Keeper
from nas.tracking import load_checkpoint
from tests.cli.commands import TINY, call, read_epochs, shell, succeed
from tests.optimization.contracts import assert_same_bits

RUN = "hydra.run.dir=run"
RETRAIN = ("genotype=DARTS_V2", *TINY, "trainer.epochs=2", "trainer.checkpoint_steps=1")
AFTER = "the state after epoch 0, step 1 is kept in run/checkpoint.pt"

WITH_LIMIT = """
import resource, runpy, sys
from nas.cli.resuming import Keeper
after_step = Keeper.after_step
def limited(self, step):
    after_step(self, step)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
Keeper.after_step = limited
runpy.run_module("nas.retrain", run_name="__main__")
"""
"""`python -c` of a retraining that may not write large files once its first checkpoint is there."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    succeed("retrain", *RETRAIN, RUN, cwd=folder)
    return folder / "run"


def assert_it_goes_on(folder: Path, whole: Path) -> None:
    succeed("retrain", *RETRAIN, RUN, "resume=true", cwd=folder)
    wanted, found = (load_checkpoint(run / "checkpoint.pt") for run in (whole, folder / "run"))
    for key in ("weights", "weight_optimizer", "random", "stream", "position"):
        assert_same_bits(found[key], wanted[key])
    assert len(read_epochs(folder / "run", "train.jsonl")) == 2


@pytest.mark.slow
def test_a_process_that_may_not_write_more(tmp_path: Path, whole: Path) -> None:
    outcome = shell(["-c", WITH_LIMIT, *RETRAIN, RUN], cwd=tmp_path)
    assert outcome.error == (
        f"run/checkpoint.pt could not be written: File too large; {AFTER}; allow larger files (ulimit -f), then go on "
        "by resume=true"
    )
    assert not list((tmp_path / "run").glob(".*.tmp"))
    assert_it_goes_on(tmp_path, whole)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "make room"), (errno.EROFS, "make the directory writable"), (errno.EIO, "mend that")],
)
def test_every_reason_has_its_remedy(
    number: int, remedy: str, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second checkpoint fails where the system is to write what is in its memory."""
    fsync, calls = os.fsync, []

    def full(file: int) -> None:
        if ".checkpoint.pt." in os.readlink(f"/proc/self/fd/{file}"):
            calls.append(file)
            if len(calls) == 2:
                raise OSError(number, os.strerror(number))
        fsync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        line = call("retrain", *RETRAIN, RUN, cwd=tmp_path).error
    assert line == (
        f"run/checkpoint.pt could not be written: {os.strerror(number)}; {AFTER}; {remedy}, then go on by resume=true"
    )
    if number == errno.ENOSPC:
        assert_it_goes_on(tmp_path, whole)


def before_step_two(monkeypatch: pytest.MonkeyPatch, act: Callable[[Path], object]) -> None:
    """Something happens to the run directory after the first checkpoint."""
    keep = Keeper.keep

    def kept(keeper: Keeper) -> None:
        keep(keeper)
        if keeper.state()["position"] == [0, 1]:
            act(keeper.folder)

    monkeypatch.setattr(Keeper, "keep", kept)


def test_a_directory_that_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before_step_two(monkeypatch, shutil.rmtree)
    line = call("retrain", *RETRAIN, RUN, cwd=tmp_path).error
    assert line == (
        "run/checkpoint.pt could not be written: No such file or directory; no state is kept in run; put the directory "
        "back where it was, then go on by resume=true"
    )


def test_a_checkpoint_that_is_deleted_is_written_again(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_step_two(monkeypatch, lambda folder: (folder / "checkpoint.pt").unlink())
    succeed("retrain", *RETRAIN, RUN, cwd=tmp_path)
    wanted, found = (load_checkpoint(run / "checkpoint.pt") for run in (whole, tmp_path / "run"))
    assert_same_bits(found["weights"], wanted["weights"])
    assert load_checkpoint(tmp_path / "run" / "checkpoint.before.pt")["position"] == [1, 2]


def test_curves_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that writes them keeps its error for the next call, and prints nothing itself."""

    def replaced(folder: Path) -> None:
        (events,) = folder.glob("events.*")
        events.unlink()
        events.mkdir()

    before_step_two(monkeypatch, replaced)
    hook = threading.excepthook
    line = call("retrain", *RETRAIN, RUN, cwd=tmp_path).error
    assert line == (
        f"run could not be written: Is a directory; {AFTER.replace('step 1', 'step 2')}; mend that, then go on by "
        "resume=true"
    )
    assert threading.excepthook is hook


def test_an_error_of_other_files_is_told_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(keeper: Keeper, step: int) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(tmp_path / "data" / "7.jpg"))

    monkeypatch.setattr(Keeper, "after_step", gone)
    line = call("retrain", *RETRAIN, RUN, cwd=tmp_path).error
    assert line == f"[Errno 2] No such file or directory: '{tmp_path}/data/7.jpg'"
