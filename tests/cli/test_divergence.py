"""A loss that turns NaN stops the run, names the epoch, and keeps the last good state."""

from pathlib import Path

import pytest
import torch

from tests.cli.commands import SMALL_CELL, TINY, call, read_epochs, read_json

BOOM = ("trainer.epochs=4", "trainer.schedule.final_rate=1e30", "trainer.clip_norm=null")
"""The first epoch at the usual rate, all others at one that ends in NaN."""


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("search", ("space=darts", *SMALL_CELL)),
        ("search", ("space=darts", *SMALL_CELL, "method=second_order")),
        ("search", ("space=darts", *SMALL_CELL, "method=random", "method.epochs_per_candidate=4")),
        ("retrain", ("genotype=DARTS_V2",)),
    ],
)
def test_the_epoch_is_named_and_the_state_before_it_is_kept(
    command: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    line = call(command, *words, *TINY, *BOOM, "hydra.run.dir=run", cwd=tmp_path).error
    assert line.startswith(("the training loss became", "the alphas became"))
    assert "in epoch 1, step " in line
    assert "the state after epoch 0 is kept in run/checkpoint.pt" in line.replace(f"{tmp_path}/", "")
    run = tmp_path / "run"
    state = torch.load(run / "checkpoint.pt", weights_only=True)["state"]
    assert len(state["records"]) == 1
    weights = state["training"]["weights"] if "training" in state else state["weights"]
    assert all(value.isfinite().all() for value in weights.values())
    epochs = read_epochs(run, "search.jsonl" if command == "search" else "train.jsonl")
    assert [epoch["epoch"] for epoch in epochs] == [0]
    if command == "search":
        assert read_json(run / "genotype.json") == epochs[0]["genotype"]
    assert not (run / "summary.json").exists()


def test_a_run_that_diverges_at_once_says_so(tmp_path: Path) -> None:
    words = ("space=darts", *TINY, *SMALL_CELL, "trainer.optimizer.lr=1e30", "trainer.clip_norm=null")
    line = call("search", *words, "hydra.run.dir=run", cwd=tmp_path).error
    assert "epoch 0" in line
    assert "trainer.optimizer.lr" in line
    assert not (tmp_path / "run" / "checkpoint.pt").exists()
    assert not (tmp_path / "run" / "summary.json").exists()


def test_a_diverged_run_is_not_in_the_table(tmp_path: Path) -> None:
    words = ("-m", "space=darts", *TINY, *SMALL_CELL, "trainer.optimizer.lr=0.05,1e30", "trainer.clip_norm=null")
    outcome = call("search", *words, "hydra.sweep.dir=sweep", "hydra/launcher=basic", cwd=tmp_path)
    assert outcome.status == 1
    (reason,) = tmp_path.glob("sweep/*/failed.txt")
    assert "epoch 0" in reason.read_text()
    assert "Not counted (1)" in outcome.out
    assert len(list((tmp_path / "sweep").glob("*/summary.json"))) == 1
