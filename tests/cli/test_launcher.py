"""Every run of a sweep is a process: one that dies is one failed run, a signal stops all, none outlives the sweep."""

import csv
import itertools
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hydra.plugins.sweeper import Sweeper

from nas.cli.signals import Stopped
from tests.cli.commands import SMALL_CELL, TINY, call, read_epochs, shell, succeed

WORDS = ("space=darts", "seed=1,2,3", *TINY, *SMALL_CELL, "hydra.sweep.dir=sweep")
LONG = (*WORDS, "trainer.epochs=1000", "trainer.checkpoint_steps=1")


def numbers(folder: Path) -> list[list[dict[str, Any]]]:
    """The epochs of all runs of a sweep, without their seconds."""
    runs = sorted(folder.glob("*_*"))
    return [[{**epoch, "seconds": 0} for epoch in read_epochs(run)] for run in runs if (run / "search.jsonl").exists()]


def statuses(folder: Path) -> list[tuple[str, str]]:
    """Seeds and status of the rows of a sweep's table."""
    with open(folder / "summary.csv") as file:
        return [(row["seeds"], row["status"]) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, Any]]]:
    """The numbers of the same runs in this process."""
    cwd = tmp_path_factory.mktemp("undisturbed")
    succeed("search", "-m", *WORDS, "hydra/launcher=basic", cwd=cwd)
    return numbers(cwd / "sweep")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_jobs", "how", "reason"),
    [
        (1, "null", "ended by SIGKILL; a lack of memory may be the reason"),
        (2, "null", "ended by SIGKILL; a lack of memory may be the reason"),
        (2, "1", "ended with status 1"),
    ],
)
def test_a_run_that_dies_is_one_failed_run_and_it_alone_is_redone(
    n_jobs: int, how: str, reason: str, tmp_path: Path, undisturbed: list[list[dict[str, Any]]]
) -> None:
    dying = (
        "method.relaxation._target_=tests.cli.failing.DiesOnce",
        f"+method.relaxation.mark={tmp_path}/mark",
        f"+method.relaxation.status={how}",
        f"hydra.launcher.n_jobs={n_jobs}",
    )
    outcome = call("search", "-m", *WORDS, *dying, cwd=tmp_path)
    first, dead, last = sorted(tmp_path.glob("sweep/*_*"))
    assert outcome.status == 1
    assert outcome.err == f"error: run {dead.name} {reason}; resume=true goes on with it\n"
    assert (dead / "failed.txt").read_text() == reason
    assert f"failed: {reason}" in outcome.out
    assert statuses(tmp_path / "sweep") == [("1 3", "finished"), ("", "left out")]
    before = [(run / "summary.json").stat().st_mtime_ns for run in (first, last)]
    outcome = call("search", "-m", *WORDS, *dying, "resume=true", cwd=tmp_path)
    assert (outcome.status, outcome.err) == (0, "")
    assert not list(tmp_path.rglob("failed.txt"))
    assert statuses(tmp_path / "sweep") == [("1 2 3", "finished")]
    assert [(run / "summary.json").stat().st_mtime_ns for run in (first, last)] == before
    assert numbers(tmp_path / "sweep") == undisturbed


# signals


def children(pid: int) -> set[int]:
    """The processes that a process has started, and those that they have."""
    try:
        started = {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    except FileNotFoundError:
        return set()
    return started.union(*map(children, started))


@contextmanager
def sweeping(cwd: Path, *words: str, at_once: int = 2) -> Iterator[subprocess.Popen[str]]:
    """A sweep as a person starts it, with as many runs under way as may be."""
    command = [sys.executable, "-m", "nas.search", "-m", *words, f"hydra.launcher.n_jobs={at_once}"]
    with subprocess.Popen(command, cwd=cwd, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while len(list(cwd.glob("sweep/*/checkpoint.pt"))) < at_once:
            time.sleep(0.01)
            assert process.poll() is None
        yield process


@pytest.mark.slow
@pytest.mark.parametrize("how", ["all are told", "the sweep is told"])
def test_a_signal_stops_all_and_the_words_go_on(how: str, tmp_path: Path) -> None:
    """By a scheduler to the group, fork server included, or by a person to the sweep alone."""
    with sweeping(tmp_path, *LONG) as process:
        if how == "all are told":
            os.killpg(process.pid, signal.SIGTERM)
        else:
            process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said, status = process.stderr.read().splitlines(), process.wait(60)
    number = signal.SIGTERM if how == "all are told" else signal.SIGINT
    assert status == 128 + number
    runs = sorted(tmp_path.glob("sweep/*_*"))
    assert len(runs) == 2
    assert len(said) == 3, said
    for run in runs:
        assert any(line.startswith(f"stopped by {number.name} in run {run.name}, ") for line in said[:2]), said
        assert not list(run.glob("failed.txt"))
    stopped, _, command = said[-1].partition("; to go on: ")
    assert stopped == f"stopped by {number.name} before all runs had ended"
    words = ["python", "-m", "nas.search", "-m", *LONG, "hydra.launcher.n_jobs=2", "resume=true"]
    assert sorted(shlex.split(command)) == sorted(words)


def test_a_signal_that_another_error_hides_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where it cuts off the composition of a config, whose last words are then an error of omegaconf."""

    def composing(*_: Any) -> None:
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
        raise AttributeError

    monkeypatch.setattr(Sweeper, "validate_batch_is_legal", composing)
    outcome = call("search", "-m", *WORDS, cwd=tmp_path)
    assert outcome.status == 128 + signal.SIGTERM
    assert outcome.err.startswith("stopped by SIGTERM before the next step; to go on: python -m nas.search -m ")


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.slow
def test_no_run_outlives_its_sweep(tmp_path: Path) -> None:
    with sweeping(tmp_path, *LONG, at_once=1) as process:
        left = children(process.pid)
        assert len(left) >= 3  # the resource tracker, the fork server and the run
        process.kill()
        deadline = time.monotonic() + 20
        while not all(map(gone, left)):
            assert time.monotonic() < deadline, "a process is left"
            time.sleep(0.05)


# mistakes


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("-m", "hydra.launcher.n_jobs=0"), ["hydra.launcher.n_jobs is 0", "from 1 on"]),
        (("-m", "hydra.launcher.n_jobs=-1"), ["hydra.launcher.n_jobs is '-1'", "from 1 on"]),
        (("-m", "hydra.launcher.n_jobs=two"), ["hydra.launcher.n_jobs is 'two'", "from 1 on"]),
        (("-m", "hydra.launcher.n_jobs=1,2"), ["hydra.launcher.n_jobs is '1,2'", "from 1 on"]),
        (("-m", "hydra.launcher.jobs=2"), ["hydra.launcher.jobs"]),
        (("-m", "hydra/launcher=basic", "hydra.launcher.n_jobs=2"), ["hydra.launcher.n_jobs"]),
        (("-m", "hydra/launcher=procs"), ["hydra/launcher/procs"]),
        (("hydra.launcher.n_jobs=2",), ["hydra.launcher.n_jobs=2", "-m"]),
        (("hydra/launcher=basic",), ["hydra/launcher=basic", "-m"]),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(words: tuple[str, ...], parts: list[str], tmp_path: Path) -> None:
    line = call("search", "space=darts", *TINY, *words, cwd=tmp_path).error
    assert all(part in line for part in parts), line
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "launcher"),
    [*itertools.product(("retrain", "cost", "draw", "export"), ("basic", "processes"))],
)
def test_a_mistake_in_one_run_of_any_command_is_status_1(command: str, launcher: str, tmp_path: Path) -> None:
    """The others go on: a published genotype can be retrained, counted and drawn."""
    words = ("genotype=nothing,DARTS_V2", f"hydra/launcher={launcher}", *(TINY if command == "retrain" else ()))
    outcome = call(command, "-m", *words, cwd=tmp_path)
    assert outcome.status == 1
    assert command != "retrain" or len(list(tmp_path.rglob("summary.json"))) == 1
    assert command != "retrain" or "no genotype 'nothing'" in next(tmp_path.rglob("failed.txt")).read_text()
    assert command != "draw" or (tmp_path / "DARTS_V2.png").exists()
    assert launcher != "basic" or outcome.err.startswith("error: there is no genotype 'nothing'")
    assert "Traceback" not in outcome.err


@pytest.mark.slow
def test_what_a_run_prints_is_seen_and_its_mistake_is_one_line(tmp_path: Path) -> None:
    outcome = shell(["-m", "nas.cost", "-m", "genotype=DARTS_V1,nothing,DARTS_V2"], cwd=tmp_path)
    assert "there is no genotype 'nothing'" in outcome.error
    assert outcome.out.count('"params": ') == 2


@pytest.mark.slow
def test_a_sweep_without_mistakes_is_status_0(tmp_path: Path) -> None:
    assert call("cost", "-m", "genotype=DARTS_V1,DARTS_V2", cwd=tmp_path).status == 0
