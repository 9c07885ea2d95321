"""A seed fixes the whole run, to the last bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import nas.cli.search_job
import nas.retrain
from nas.data import Samples
from nas.optimization import Feed
from tests.cli.commands import SMALL_CELL, read_epochs, succeed
from tests.marks import slow

WORDS = ("debug=smoke", "trainer.max_steps=1", "network.cells=1", "trainer.arch_warmup=0", *SMALL_CELL)
VARIANTS = {
    "darts": ("space=darts",),
    "second order": ("space=darts", "method=second_order"),
    "bf16": ("space=pc_darts", "trainer.precision=bf16"),
    "random": ("space=darts", "method=random", "method.epochs_per_candidate=1"),
}


def searched(cwd: Path, name: str, *words: str) -> tuple[list[dict[str, Any]], dict[str, Any], str]:
    """(lines, checkpoint, genotype) of a search, but for what tells times."""
    succeed("search", *WORDS, *words, f"hydra.run.dir={name}", cwd=cwd)
    lines = [{**line, "seconds": None} for line in read_epochs(cwd / name)]
    state = torch.load(cwd / name / "checkpoint.pt", weights_only=True)["state"]
    state = {key: value for key, value in state.items() if key not in ("seconds", "records")}
    return lines, state, (cwd / name / "genotype.json").read_text()


def equal(one: Any, other: Any) -> bool:
    """Nested data that hold equal values, tensors to the last bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


@pytest.mark.parametrize("name", ["second order", *slow("darts", "bf16", "random")])
def test_the_same_seed_is_the_same_search(name: str, tmp_path: Path) -> None:
    first = searched(tmp_path, "first", *VARIANTS[name], "seed=4")
    torch.rand(3)  # what happened before in the process does not matter
    second = searched(tmp_path, "second", *VARIANTS[name], "seed=4")
    assert first[0] == second[0]
    assert equal(first[1], second[1])
    assert first[2] == second[2]


def test_another_seed_is_another_search(tmp_path: Path) -> None:
    first, second = (searched(tmp_path, f"seed{seed}", "space=darts", f"seed={seed}") for seed in (0, 1))
    assert first[0][0]["alphas"] != second[0][0]["alphas"]
    assert first[0][0]["train_loss"] != second[0][0]["train_loss"]
    assert not equal(first[1]["weights"], second[1]["weights"])


def test_the_same_seed_is_the_same_retraining(tmp_path: Path) -> None:
    words = ("genotype=DARTS_V2", "debug=smoke", "network.cells=1", "trainer.drop_path=0.5")
    states = []
    for name, seed in (("first", 4), ("second", 4), ("other", 5)):
        succeed("retrain", *words, f"seed={seed}", f"hydra.run.dir={name}", cwd=tmp_path)
        states.append(torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["state"]["weights"])
    assert equal(states[0], states[1])
    assert not equal(states[0], states[2])


@pytest.mark.slow
def test_the_seed_decides_the_order_of_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both streams of a search and the one of a retraining: no two in one order."""
    orders = []

    def note(feed_of: Callable[..., Feed]) -> Callable[..., Feed]:
        def noted(samples: Samples, *arguments: Any, **more: Any) -> Feed:
            stream = feed_of(samples, *arguments, **more).stream
            orders.append(next(stream)[1].tolist())
            return feed_of(samples, *arguments, **more)

        return noted

    for command in (nas.cli.search_job, nas.retrain):
        monkeypatch.setattr(command, "feed_of", note(command.feed_of))
    for seed in (0, 1):
        searched(tmp_path, f"search{seed}", "space=darts", f"seed={seed}")
        words = ("genotype=search0", "debug=smoke", "network.cells=1", f"seed={seed}", f"hydra.run.dir=retrain{seed}")
        succeed("retrain", *words, cwd=tmp_path)
    assert len(orders) == 6
    assert len(set(map(tuple, orders))) == 6
