"""Sweeps end with a table over seeds, also where runs fail; `nas.report` makes the same of any runs.

Where runs are looked into, they are those of `hydra/launcher=basic`, which are in this process;
`test_launcher.py` is about the others.
"""

import csv
import itertools
import shlex
import signal
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nas.search
from nas.cli.resuming import Keeper
from tests.cli.commands import SMALL_CELL, TINY, Outcome, call, read_json, shell, succeed
from tests.marks import slow

WORDS = ("debug=smoke", "trainer.epochs=1", "network.cells=1", *SMALL_CELL, "hydra.sweep.dir=sweep")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """Two spaces by two seeds, two processes at once: where they lie, and what was said."""
    cwd = tmp_path_factory.mktemp("sweep")
    words = ("+space=darts,pc_darts", "seed=1,2", *WORDS, "hydra.launcher.n_jobs=2")
    outcome = shell(["-m", "nas.search", "-m", *words], cwd=cwd)
    assert outcome.status == 0, outcome.err
    return cwd / "sweep", outcome


def summaries(folder: Path) -> list[dict[str, Any]]:
    """The summaries of all runs of a sweep."""
    return [read_json(path) for path in sorted(folder.glob("*/summary.json"))]


def rows(folder: Path) -> list[dict[str, str]]:
    """The rows of a sweep's CSV."""
    with open(folder / "summary.csv") as file:
        return list(csv.DictReader(file))


def test_every_combination_ran(sweep: tuple[Path, Outcome]) -> None:
    found = {(summary["space"], summary["seed"]) for summary in summaries(sweep[0])}
    assert found == {("darts", 1), ("darts", 2), ("pc_darts", 1), ("pc_darts", 2)}


def test_the_csv_has_mean_and_std_over_seeds(sweep: tuple[Path, Outcome]) -> None:
    table = rows(sweep[0])
    assert [row["space"] for row in table] == ["darts", "pc_darts"]
    for row in table:
        runs = [summary for summary in summaries(sweep[0]) if summary["space"] == row["space"]]
        accuracies = [run["valid_accuracy"] for run in runs]
        assert row["status"] == "finished"
        assert row["seeds"] == "1 2"
        assert float(row["valid_accuracy"]) == pytest.approx(statistics.mean(accuracies), rel=1e-12)
        assert float(row["valid_accuracy_std"]) == pytest.approx(statistics.stdev(accuracies), rel=1e-12)
        assert float(row["params"]) == statistics.mean(run["params"] for run in runs)
        assert float(row["macs"]) == statistics.mean(run["macs"] for run in runs)
        assert row["test_accuracy"] == ""


def test_the_table_is_on_screen_and_in_markdown(sweep: tuple[Path, Outcome]) -> None:
    folder, outcome = sweep
    table = (folder / "summary.md").read_text()
    assert table.strip() in outcome.out
    for space in ("darts", "pc_darts"):
        accuracies = [100 * run["valid_accuracy"] for run in summaries(folder) if run["space"] == space]
        (line,) = (line for line in table.splitlines() if f"| {space} |" in line)
        assert f"| {statistics.mean(accuracies):.2f} ± {statistics.stdev(accuracies):.2f} |" in line
        assert "seed" not in line


def test_the_report_of_a_sweep_is_its_table(sweep: tuple[Path, Outcome], tmp_path: Path) -> None:
    outcome = call("report", str(sweep[0]), "--out", "report", cwd=tmp_path)
    assert outcome.status == 0
    assert outcome.out == (sweep[0] / "summary.md").read_text()
    for name in ("summary.md", "summary.csv"):
        assert (tmp_path / "report" / name).read_text() == (sweep[0] / name).read_text()
    assert (tmp_path / "report" / "accuracy_cost.png").read_bytes()[:4] == b"\x89PNG"


def test_a_run_of_a_sweep_is_a_run(sweep: tuple[Path, Outcome], tmp_path: Path) -> None:
    """Also by the words that the sweep printed for it."""
    said = [line for line in sweep[1].out.splitlines() if line.startswith("next: python -m nas.retrain ")]
    assert len(said) == 4
    words = min(said).removeprefix("next: python -m nas.retrain ").split()
    succeed("retrain", *words, *TINY, f"hydra.run.dir={tmp_path}/run", cwd=sweep[0].parent)
    assert read_json(tmp_path / "run" / "summary.json")["seed"] == 1


@pytest.mark.slow
def test_a_sweep_of_retrainings_has_test_accuracies(sweep: tuple[Path, Outcome], tmp_path: Path) -> None:
    run = min(sweep[0].glob("*/summary.json")).parent
    words = (f"genotype={run},DARTS_V1", "seed=3,4", *TINY, "hydra.sweep.dir=sweep")
    succeed("retrain", "-m", *words, "hydra/launcher=basic", cwd=tmp_path)
    table, runs = rows(tmp_path / "sweep"), summaries(tmp_path / "sweep")
    assert [(row["method"], row["seeds"]) for row in table] == [("first_order", "3 4"), ("published", "3 4")]
    for row in table:
        accuracies = [run["test_accuracy"] for run in runs if run["method"] == row["method"]]
        assert float(row["test_accuracy"]) == pytest.approx(statistics.mean(accuracies), rel=1e-12)
        assert float(row["test_accuracy_std"]) == pytest.approx(statistics.stdev(accuracies), rel=1e-12)


def test_the_others_finish_where_one_fails(tmp_path: Path) -> None:
    words = ("space=darts", "trainer.batch_size=100000,16", "hydra/launcher=basic", *WORDS)
    outcome = call("search", "-m", *words, cwd=tmp_path)
    assert "trainer.batch_size 100000" in outcome.error
    assert [row["status"] for row in rows(tmp_path / "sweep")] == ["finished", "left out"]
    assert "batch_size-100000" in rows(tmp_path / "sweep")[1]["folder"]
    assert len(summaries(tmp_path / "sweep")) == 1
    assert "Not counted (1)" in outcome.out
    assert "Not counted (1)" in (tmp_path / "sweep" / "summary.md").read_text()


# failed, stopped, gone on with

FAST = ("space=darts", "seed=1,2,3", "hydra/launcher=basic", *WORDS)


def broken(number: int, how: Callable[[], None], before: Callable[..., Any]) -> Callable[..., Any]:
    """A function to which something happens when it is called for the `number`-th time."""
    calls = itertools.count(1)

    def function(*arguments: Any, **more: Any) -> Any:
        if next(calls) == number:
            how()
        return before(*arguments, **more)

    return function


def stamps(folder: Path) -> dict[str, int]:
    """When each file of a run was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*") if path.is_file()}


def test_an_unexpected_error_of_one_run_stops_no_other_and_it_alone_is_redone(tmp_path: Path) -> None:
    def bug() -> None:
        raise LookupError("a bug\nof two lines")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nas.search, "work", broken(2, bug, nas.search.work))
        outcome = call("search", "-m", *FAST, cwd=tmp_path)
    assert outcome.status == 1
    assert "in bug\n" in outcome.err
    assert outcome.err.splitlines()[-1] == "error: an error of the program: LookupError: a bug of two lines"
    folders = sorted((tmp_path / "sweep").glob("*_*"))
    assert [(folder / "summary.json").exists() for folder in folders] == [True, False, True]
    failed = rows(tmp_path / "sweep")[-1]
    assert failed["reason"] == "failed: an error of the program: LookupError: a bug of two lines"
    assert failed["folder"].endswith(folders[1].name)
    before = stamps(folders[0])
    outcome = succeed("search", "-m", *FAST, "resume=true", cwd=tmp_path)
    assert outcome.out.count(" is finished: 1 epochs") == 2
    assert outcome.out.count("searched darts") == 1
    assert stamps(folders[0]) == before
    assert not list(tmp_path.rglob("failed.txt"))
    assert [row["seeds"] for row in rows(tmp_path / "sweep")] == ["1 2 3"]


@pytest.mark.parametrize(
    ("place", "name", "call_of_second", "said"),
    [
        (Keeper, "after_step", 4, "in run {run}, in epoch 0 after step 2"),
        *slow((nas.search, "checked", 2, "in run {run}, before the next step")),
    ],
    ids=["in a run", "between"],
)
def test_a_stopped_sweep_goes_on_by_the_words_that_it_prints(
    place: Any, name: str, call_of_second: int, said: str, tmp_path: Path
) -> None:
    """In its second run, after the last step of two; or before that run hears signals itself."""

    def told() -> None:
        signal.raise_signal(signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, name, broken(call_of_second, told, getattr(place, name)))
        outcome = call("search", "-m", *FAST, cwd=tmp_path)
    assert outcome.status == 128 + signal.SIGTERM
    first, second = sorted((tmp_path / "sweep").glob("*_*"))
    stopped, _, command = outcome.err.strip().partition("; to go on: ")
    assert stopped == f"stopped by SIGTERM {said.format(run=second.name)}"
    assert command == shlex.join(["python", "-m", "nas.search", "-m", *FAST, "resume=true"])
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    before = stamps(first)
    outcome = succeed("search", *shlex.split(command)[3:], cwd=tmp_path)
    assert outcome.out.count(" is finished: 1 epochs") == 1
    assert outcome.out.count("searched darts") == 2
    assert stamps(first) == before
    assert [row["seeds"] for row in rows(tmp_path / "sweep")] == ["1 2 3"]


def test_used_sweep_folders_are_refused(sweep: tuple[Path, Outcome], tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in sweep[0].rglob("*")}
    outcome = call("search", "-m", "space=darts", "seed=9", *WORDS, cwd=sweep[0].parent)
    assert "hydra.sweep.dir" in outcome.error
    assert {path: path.stat().st_mtime_ns for path in sweep[0].rglob("*")} == before


@pytest.mark.parametrize("word", ["space=darts,drats", "method=random,secnd"])
def test_a_misspelt_option_stops_a_sweep_before_it_starts(tmp_path: Path, word: str) -> None:
    wrong = word.split(",")[1]
    space = () if word.startswith("space") else ("space=darts",)
    assert f"{wrong!r}" in call("search", "-m", word, *space, *WORDS, cwd=tmp_path).error
    assert not list(tmp_path.iterdir())
