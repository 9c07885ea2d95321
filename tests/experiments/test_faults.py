"""The instruments of experiments/faults: what they call a difference, and processes that they really kill."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from experiments.faults.comparison import differences
from nas.tracking import TensorBoard, load_checkpoint, save_checkpoint
from tests.cli.commands import shell

ROOT = Path(__file__).parents[2]
RANDOM, RANKS = "random search", "2 ranks"


def killed(out: Path, *words: str) -> list[dict[str, str]]:
    """The rows of the table; the last one is that of all."""
    outcome = shell(["-m", "experiments.faults.kill", f"--out={out}", *words], cwd=ROOT, seconds=1200)
    assert outcome.status == 0, outcome
    with open(out / "kills.csv") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_process_killed_at_random_moments_ends_as_one_that_was_not(tmp_path: Path) -> None:
    words = ("--cases", RANDOM, "--seed=6", "--workers=1")
    row, _ = killed(tmp_path, *words, "--runs=1")
    assert (row["case"], row["runs"], row["identical"], row["worst difference"]) == (RANDOM, "1", "1", "0")
    assert int(row["kills"]) >= 1
    log = (tmp_path / "killed" / "0.log").read_text()
    assert log.count("searched pc_darts by random") == 1


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_so_it_does_in_every_case_and_an_experiment_goes_on(tmp_path: Path) -> None:
    first = killed(tmp_path, "--runs=5")[-1]
    rows = killed(tmp_path, "--runs=24")
    assert int(rows[-1]["kills"]) >= int(first["kills"]) + 19
    assert [row["runs"] for row in rows] == [row["identical"] for row in rows]
    assert rows[-1]["runs"] == "24"
    assert {row["case"] for row in rows if int(row["runs"])} >= {RANDOM, RANKS, "retraining"}


# what a difference is


def moved_weight(run: Path) -> None:
    state = load_checkpoint(run / "checkpoint.pt")
    state["weights"]["w"][1] += 2**-20
    save_checkpoint(run / "checkpoint.pt", state)


def turned_zero(run: Path) -> None:
    state = load_checkpoint(run / "checkpoint.pt")
    state["weights"]["w"][0] = -0.0
    save_checkpoint(run / "checkpoint.pt", state)


def other_line(run: Path) -> None:
    (run / "search.jsonl").write_text(json.dumps({"epoch": 0, "loss": 1.5, "seconds": 1.0}) + "\n")


def lost_picture(run: Path) -> None:
    (run / "evolution.gif").unlink()


def other_genotype(run: Path) -> None:
    (run / "genotype.json").write_text("{}")


def other_summary(run: Path) -> None:
    (run / "summary.json").write_text('{"params": 8, "wall_seconds": 3}')


def two_histories(run: Path) -> None:
    with TensorBoard(run) as board:
        board.scalars({"loss": 1.0}, 0)


def other_times(run: Path) -> None:
    (run / "summary.json").write_text('{"params": 7, "wall_seconds": 3}')
    state = load_checkpoint(run / "checkpoint.pt")
    save_checkpoint(run / "checkpoint.pt", {**state, "seconds": 9.0, "settings": {"resume": True}})


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A run directory with a little of everything."""
    run = tmp_path / "whole"
    run.mkdir()
    line = json.dumps({"epoch": 0, "loss": 1.0, "seconds": 1.0}) + "\n"
    (run / "search.jsonl").write_text(line)
    (run / "summary.json").write_text('{"params": 7, "wall_seconds": 1}')
    (run / "genotype.json").write_text('{"a": 1}')
    (run / "evolution.gif").write_bytes(b"GIF89a")
    weights = {"w": torch.tensor([0.0, 1.0])}
    state = {"settings": {}, "seconds": 1.0, "records": [line], "weights": weights}
    save_checkpoint(run / "checkpoint.pt", state)
    with TensorBoard(run) as board:
        board.scalars({"loss": 1.0, "seconds": 1.0}, 0)
    return run


@pytest.mark.parametrize(
    ("change", "place", "size"),
    [
        (moved_weight, "/checkpoint/weights/w", 2**-20),
        (turned_zero, "/checkpoint/weights/w", 0.0),
        (other_line, "/search.jsonl/0/loss", 0.5),
        (other_summary, "/summary/params", 1.0),
        (lost_picture, "", float("inf")),
        (other_genotype, "/genotype.json", float("inf")),
        (two_histories, "/curves/loss", float("inf")),
    ],
)
def test_every_change_is_a_difference(
    change: Callable[[Path], None], place: str, size: float, whole: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    assert differences(run, whole) == []
    change(run)
    (found,) = differences(run, whole)
    assert (found.place, found.size) == (place, size)


def test_times_are_none(whole: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    other_times(run)
    assert differences(run, whole) == []
