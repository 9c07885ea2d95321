"""What `trainer.on_nan` makes of batches that are not finite: a step skipped, or a state gone back to."""

import dataclasses
import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import nas.cli.parts
from nas.cli.resuming import Keeper
from nas.optimization import Feed
from nas.tracking import load_checkpoint
from tests.cli.commands import SMALL_CELL, TINY, call, read_epochs, succeed
from tests.marks import slow
from tests.optimization.contracts import assert_same_bits

RUN = "hydra.run.dir=run"
RETRAIN = ("genotype=DARTS_V2", *TINY)
SEARCH = ("space=darts", *TINY, *SMALL_CELL, "trainer.arch_warmup=0")

Poison = Callable[[Collection[int]], None]


class Poisoned:
    """A stream with NaN images in some batches, counted from 0."""

    def __init__(self, stream: Any, bad: Collection[int]) -> None:
        self.stream = stream
        self.bad = bad

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def __next__(self) -> tuple[Tensor, Tensor]:
        number = self.stream.epoch * self.stream.batches_per_epoch + self.stream.batch
        images, labels = next(self.stream)
        return images * math.nan if number in self.bad else images, labels


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Poison:
    """Makes the batches of every feed bad that have these numbers; two are an epoch."""

    def poisoned(bad: Collection[int]) -> None:
        def feed_of(*args: Any, **settings: Any) -> Feed:
            feed = nas.cli.parts.feed_of(*args, **settings)
            return dataclasses.replace(feed, stream=Poisoned(feed.stream, bad))

        monkeypatch.setattr("nas.cli.search_job.feed_of", feed_of)
        monkeypatch.setattr("nas.retrain.feed_of", feed_of)

    return poisoned


def timeless(run: Path, name: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key != "seconds"} for line in read_epochs(run, name)]


@pytest.mark.parametrize(
    ("command", "words", "log"),
    [("search", SEARCH, "search.jsonl"), *slow(("retrain", RETRAIN, "train.jsonl"))],
)
def test_rolled_back_and_killed_in_between_it_ends_the_same(
    command: str, words: tuple[str, ...], log: str, tmp_path: Path, poison: Poison, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fourth and fifth batch are bad: epoch 1 goes back to its first step twice, and ends with the next one."""
    poison({3, 4})
    words = (*words, "trainer.epochs=2", "trainer.checkpoint_steps=1", "trainer.on_nan=rollback")
    out = succeed(command, *words, "hydra.run.dir=whole", cwd=tmp_path).out
    for number in (1, 2):
        assert f"back to the state after epoch 1, step 1, and on with other batches (rollback {number} of 3)" in out
    assert "in epoch 1, step 2: back" in out
    kept = load_checkpoint(tmp_path / "whole" / "checkpoint.pt")
    assert (kept["rollbacks"], kept["position"]) == (0, [2, 0])

    after_step, steps = Keeper.after_step, []

    def killed(keeper: Keeper, step: int) -> None:
        steps.append(step)
        if len(steps) == 4:  # the first good one after the rollbacks, before it is kept
            raise KeyboardInterrupt
        after_step(keeper, step)

    monkeypatch.setattr(Keeper, "after_step", killed)
    assert call(command, *words, RUN, cwd=tmp_path).status == 130
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")["position"] == [1, 1]
    succeed(command, *words, RUN, "resume=true", cwd=tmp_path)
    assert timeless(tmp_path / "run", log) == timeless(tmp_path / "whole", log)
    again = load_checkpoint(tmp_path / "run" / "checkpoint.pt")
    for key in ("weights", "weight_optimizer", "position", "rollbacks"):
        assert_same_bits(again[key], kept[key])


@pytest.mark.parametrize("method", ["first_order", "random"])
def test_a_bad_validation_loss_goes_back_to_the_epoch_before(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def feed_of(samples: Any, recipe: Any, *, seed: int, **settings: Any) -> Feed:
        feed = nas.cli.parts.feed_of(samples, recipe, seed=seed, **settings)

        def in_order() -> Any:
            asked.append(seed)
            bad = seed == 1 and asked.count(1) == 2  # the validation half, after the second epoch
            return [(images * math.nan if bad else images, labels) for images, labels in feed.in_order()]

        return dataclasses.replace(feed, in_order=in_order)

    monkeypatch.setattr("nas.cli.search_job.feed_of", feed_of)
    words = (*SEARCH, f"method={method}", "trainer.epochs=2", RUN)
    if method == "random":
        words = (*words, "method.epochs_per_candidate=2")
    line = call("search", *words, cwd=tmp_path).error
    assert line.startswith("the validation loss became nan in epoch 1; the state after epoch 0 is kept in run/")
    asked.clear()
    out = succeed("search", *words[:-1], "trainer.on_nan=rollback", "hydra.run.dir=other", cwd=tmp_path).out
    assert "the validation loss became nan in epoch 1: back to the state after epoch 0, and on with other" in out
    assert [line["epoch"] for line in read_epochs(tmp_path / "other")] == [0, 1]
    kept = load_checkpoint(tmp_path / "other" / "checkpoint.pt")
    assert (kept["rollbacks"], kept["position"]) == (0, [2, 0])
    stream = kept["streams"][0] if method == "first_order" else kept["training"]["stream"]
    assert stream["epoch"] * 11 + stream["batch"] == 6  # two of an epoch, and those of the second twice


def test_a_stopped_run_goes_on_by_rollback(tmp_path: Path, poison: Poison) -> None:
    poison({3})
    words = (*RETRAIN, "trainer.epochs=2", RUN)
    line = call("retrain", *words, cwd=tmp_path).error
    assert line == (
        "the training loss became nan in epoch 1, step 2; the state after epoch 0 is kept in run/checkpoint.pt; give a "
        "lower trainer.optimizer.lr and another hydra.run.dir, or go on with other batches by resume=true "
        "trainer.on_nan=rollback"
    )
    succeed("retrain", *words, "resume=true", "trainer.on_nan=rollback", cwd=tmp_path)
    assert len(read_epochs(tmp_path / "run", "train.jsonl")) == 2


def test_it_stops_after_three_rollbacks_without_a_finished_epoch(tmp_path: Path, poison: Poison) -> None:
    poison({2, 5, *range(8, 99)})
    outcome = call("retrain", *RETRAIN, "trainer.epochs=4", "trainer.on_nan=rollback", RUN, cwd=tmp_path)
    assert outcome.error.startswith(
        "the training loss became nan in epoch 3, step 1, after 3 rollbacks without a finished epoch; the state after "
        "epoch 2 is kept in run/checkpoint.pt; "
    )
    assert outcome.out.count("rollback 1 of 3") == 3
    assert len(read_epochs(tmp_path / "run", "train.jsonl")) == 3


def test_there_is_nothing_to_go_back_to(tmp_path: Path, poison: Poison) -> None:
    poison({1})
    line = call("retrain", *RETRAIN, "trainer.on_nan=rollback", RUN, cwd=tmp_path).error
    assert "trainer.on_nan=rollback has no state to go back to, because none is kept in run; " in line
    assert "trainer.checkpoint_steps=N" in line


def test_a_bad_step_is_skipped(tmp_path: Path, poison: Poison) -> None:
    poison({1})
    out = succeed("retrain", *RETRAIN, "trainer.on_nan=skip", RUN, cwd=tmp_path).out
    assert "epoch 0, step 2 is skipped: the training loss is nan" in out
    weights = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["state"]["weights"]
    assert all(value.isfinite().all() for value in weights.values())


def test_recorded_steps_cannot_be_skipped(tmp_path: Path) -> None:
    words = ("space=darts", "trainer.on_nan=skip", "cuda_graphs=true")
    assert "give trainer.on_nan=rollback, or leave one of them out" in call("search", *words, cwd=tmp_path).error
    assert "trainer.on_nan is 'go_on'" in call("retrain", *RETRAIN, "trainer.on_nan=go_on", cwd=tmp_path).error
