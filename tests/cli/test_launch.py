"""Processes that share a job: all end, and a person hears once why."""

import os
import time
from pathlib import Path

import pytest

from nas.cli.launch import on_devices
from nas.cli.mistakes import Mistakes
from nas.cli.processes import LostProcessError
from tests.cli.works import add_up, break_down
from tests.marks import slow


def gone(pid: int) -> bool:
    """Whether there is no such process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.slow  # as test_devices.py sees of a search
def test_a_job_runs_on_every_rank_and_gives_what_rank_0_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert on_devices(add_up, "the job", 2) == f"the job: 3.0 by rank 0 in {tmp_path.name}"
    assert on_devices(add_up, "alone", 1) == f"alone: 1.0 by rank 0 in {tmp_path.name}"


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ("mistake", Mistakes, "^image 7 does not decode$"),
        *slow(
            (
                "killed",
                LostProcessError,
                "^process 1 of trainer.devices=2 was ended by SIGKILL; .*; the others were stopped$",
            ),
            ("bug", RuntimeError, r"(?s)line \d+, in break_down.*LookupError: a bug"),
        ),
    ],
)
def test_the_error_of_one_process_stops_the_others(how: str, error: type[Exception], said: str, tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(error, match=said):
        on_devices(break_down, f"{tmp_path} {how}", 2)
    assert time.monotonic() - start < 60
    assert all(gone(int((tmp_path / f"pid{rank}").read_text())) for rank in (0, 1))
