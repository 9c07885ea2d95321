"""Retraining: from whatever names a genotype, by a recipe whose every key counts, to a network that loads."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nas.architecture import Genotype
from nas.costs import count
from nas.space import DropPath, Skeleton
from tests.cli.commands import SMALL_CELL, TINY, Outcome, read_epochs, read_json, succeed
from tests.cli.networks import SMOKE, network, params_and_macs
from tests.marks import slow

AUTHORS = (
    "Toy = Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1)], normal_concat=range(2, 3), "
    "reduce=[('max_pool_3x3', 0), ('dil_conv_5x5', 1)], reduce_concat=[2])"
)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A genotype of one node in the authors' form."""
    path = tmp_path_factory.mktemp("toy") / "toy.txt"
    path.write_text(AUTHORS)
    return path


def state_of(run: Path) -> dict[str, Any]:
    """The state in a run's checkpoint."""
    return torch.load(run / "checkpoint.pt", weights_only=True)["state"]


def test_it_leaves_these_files_and_no_others(retrained: tuple[Path, Outcome]) -> None:
    run, _ = retrained
    files = {path.name for path in run.iterdir() if not path.name.startswith("events.out.tfevents.")}
    assert files == {".hydra", "train.jsonl", "genotype.json", "checkpoint.pt", "checkpoint.before.pt", "summary.json"}
    assert len(list(run.iterdir())) == len(files) + 1


def test_the_summary_has_the_test_accuracy_of_the_kept_network(retrained: tuple[Path, Outcome]) -> None:
    """debug=smoke measures two batches of 16: the first 32 test images."""
    from nas.data import Digits, StratifiedSplit

    run, outcome = retrained
    summary, state = read_json(run / "summary.json"), state_of(run)
    rebuilt = network(Genotype.from_dict(state["genotype"]), Skeleton(**state["skeleton"]))
    rebuilt.load_state_dict(state["weights"])
    statistics = {"mean": [0.30508846], "std": [0.37593725]}
    images, labels = next(
        Digits(split=StratifiedSplit(), **statistics).test().batches(batch_size=32, device=torch.device("cpu"))
    )
    with torch.no_grad():
        logits = rebuilt.eval()(images)
    assert summary["test_accuracy"] == (logits.argmax(dim=1) == labels).double().mean()
    assert summary["test_loss"] == pytest.approx(float(nn.functional.cross_entropy(logits, labels)), rel=1e-5)
    assert f"test accuracy {summary['test_accuracy']:.2%}" in outcome.out


def test_the_summary_counts_the_network_without_its_auxiliary_head(
    retrained: tuple[Path, Outcome], pc_darts_run: Path
) -> None:
    run, _ = retrained
    summary, state = read_json(run / "summary.json"), state_of(run)
    genotype = Genotype.from_json((pc_darts_run / "genotype.json").read_text())
    assert (summary["params"], summary["macs"]) == params_and_macs(network(genotype), (1, 8, 8))
    cost = count(network(genotype), (1, 8, 8))
    assert (summary["bops"], summary["memory_bytes"]) == (cost.bops, 4 * summary["params"])
    assert state["skeleton"] == asdict(SMOKE) | {"auxiliary": True}
    assert any("auxiliary" in name for name in state["weights"])
    assert summary["genotype"] == read_json(pc_darts_run / "genotype.json") == state["genotype"]
    assert (summary["command"], summary["space"], summary["method"]) == ("retrain", "pc_darts", "first_order")
    assert state["weight_optimizer"]["state"]
    assert [tuple(epoch) for epoch in read_epochs(run, "train.jsonl")] == 2 * [
        ("epoch", "train_loss", "train_accuracy", "seconds")
    ]


def test_published_and_authors_genotypes_are_retrained(toy: Path, tmp_path: Path) -> None:
    for number, genotype in enumerate(("DARTS_V2", str(toy))):
        succeed("retrain", f"genotype={genotype}", *TINY, f"hydra.run.dir={number}", cwd=tmp_path)
        summary = read_json(tmp_path / str(number) / "summary.json")
        assert summary["method"] == "published"
        assert summary["space"] == "darts"
        assert 0 <= summary["test_accuracy"] <= 1
    assert read_json(tmp_path / "1" / "genotype.json")["decisions"] == {
        "normal/2": [["sep_conv_3x3", 0], ["skip_connect", 1]],
        "normal/concat": [2],
        "reduce/2": [["max_pool_3x3", 0], ["dil_conv_5x5", 1]],
        "reduce/concat": [2],
    }


@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_sizes_stems_and_heads_reach_the_network(toy: Path, tmp_path: Path, stem: str) -> None:
    keys = {"channels": 4, "cells": 3, "num_classes": 12, "stem": stem, "auxiliary": "false"}
    words = [f"network.{key}={value}" for key, value in keys.items()]
    succeed("retrain", f"genotype={toy}", "debug=smoke", "trainer.epochs=1", *words, "hydra.run.dir=run", cwd=tmp_path)
    state = state_of(tmp_path / "run")
    wanted = Skeleton(channels=4, num_cells=3, stem=stem, num_classes=12, in_channels=1, image_size=(8, 8))
    assert state["skeleton"] == asdict(wanted)
    assert not [name for name in state["weights"] if "auxiliary" in name]
    rebuilt = network(
        Genotype("darts", {"operators": ["sep_conv_3x3"]}, state["genotype"]["decisions"]), Skeleton(**asdict(wanted))
    )
    rebuilt.load_state_dict(state["weights"])


@pytest.mark.parametrize(
    "change",
    [
        "trainer.label_smoothing=0.3",
        "trainer.drop_path=0.9",
        *slow(
            "trainer.auxiliary_weight=2.0",
            "trainer.cutout=6",
            "trainer.clip_norm=0.01",
            "trainer.optimizer.weight_decay=0.5",
            "trainer.schedule.final_rate=0.5",
            "trainer.precision=bf16",
            "data.padding=0",
        ),
    ],
)
def test_every_key_of_the_recipe_changes_the_training(
    toy: Path, tmp_path: Path, plain_weights: dict[str, Any], change: str
) -> None:
    words = (f"genotype={toy}", *RECIPE, change, "hydra.run.dir=run")
    succeed("retrain", *words, cwd=tmp_path)
    weights = state_of(tmp_path / "run")["weights"]
    assert any(not torch.equal(weights[name], plain_weights[name]) for name in plain_weights)


RECIPE = ("debug=smoke", "network.cells=3", "network.channels=4")


@pytest.fixture(scope="module")
def plain_weights(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the recipe without changes leads to; trained twice, for all of it follows from the seed."""
    cwd = tmp_path_factory.mktemp("plain")
    for name in ("a", "b"):
        succeed("retrain", f"genotype={toy}", *RECIPE, f"hydra.run.dir={name}", cwd=cwd)
    first, second = (state_of(cwd / name)["weights"] for name in ("a", "b"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    return first


def test_drop_path_rises_to_what_was_asked(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    forward = DropPath.forward

    def noted(self: DropPath, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            seen.add(round(self.probability, 6))
        return forward(self, x)

    monkeypatch.setattr(DropPath, "forward", noted)
    words = (f"genotype={toy}", *RECIPE, "trainer.epochs=4", "trainer.drop_path=0.4")
    succeed("retrain", *words, cwd=tmp_path)
    assert seen == {0.0, 0.1, 0.2, 0.3}


def test_the_command_that_a_search_prints_is_the_one_to_type(tmp_path: Path) -> None:
    folder = "hydra.run.dir='runs/my first, run=1'"
    outcome = succeed("search", "space=darts", *TINY, *SMALL_CELL, folder, cwd=tmp_path)
    python, dash_m, module, *words = shlex.split(outcome.out.splitlines()[-1].removeprefix("next: "))
    assert (python, dash_m, module) == ("python", "-m", "nas.retrain")
    succeed("retrain", *words, *TINY, "hydra.run.dir=retrained", cwd=tmp_path)
    assert (tmp_path / "retrained" / "summary.json").is_file()
