"""One process at a time has a folder, and a dead one has none."""

import os
from pathlib import Path

import pytest

from nas.tracking.lock import Lock
from tests.tracking.holding import holder


def test_a_second_process_is_refused_and_told_who_has_the_folder(tmp_path: Path) -> None:
    with (
        holder(tmp_path) as (process, _),
        pytest.raises(ValueError, match=rf"^{tmp_path} is in use by process {process.pid} on \S+: wait until that"),
    ):
        Lock(tmp_path).take()


def test_a_killed_process_leaves_the_folder_free(tmp_path: Path) -> None:
    with holder(tmp_path) as (process, _):
        process.kill()
        process.wait()
    assert (tmp_path / ".lock").exists()
    Lock(tmp_path).take()


def test_a_process_that_the_killed_one_forked_does_not_hold_the_folder(tmp_path: Path) -> None:
    """As those that read data are: they see only after seconds that their parent has ended."""
    with holder(tmp_path, "fork") as (process, child):
        process.kill()
        process.wait()
        try:
            Lock(tmp_path).take()
        finally:
            os.kill(child, 9)


def test_what_was_released_can_be_taken_again_and_leaves_no_file(tmp_path: Path) -> None:
    first, second = Lock(tmp_path / "new"), Lock(tmp_path / "new")
    first.take()
    with pytest.raises(ValueError, match="is in use by"):
        second.take()
    first.release()
    second.take()
    second.release()
    assert not list((tmp_path / "new").iterdir())


def test_a_link_of_its_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match=r"run/\.lock"):
        Lock(tmp_path / "run").take()
    assert (tmp_path / "precious").read_text() == "mine"
