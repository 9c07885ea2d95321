"""Every method and every space runs, and so do the options of a trainer."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.cli.commands import CONF, SMALL_CELL, TINY, call, read_epochs, read_json, succeed
from tests.marks import slow

METHODS = sorted(path.stem for path in (CONF / "method").glob("*.yaml"))
SLOW = ("darts", "pc_darts_k2", "channel_width", "joint")
"""As others, or searched and followed in tests of their own."""
FAST = sorted({path.stem for path in (CONF / "space").glob("*.yaml")} - {*SLOW})


def test_every_method_searches_in_its_own_way(tmp_path: Path) -> None:
    words = ("space=darts", "debug=smoke", "network.cells=1", *SMALL_CELL, "trainer.arch_warmup=0")
    found = []
    for method in METHODS:
        succeed("search", *words, f"method={method}", f"hydra.run.dir={method}", cwd=tmp_path)
        summary, epochs = read_json(tmp_path / method / "summary.json"), read_epochs(tmp_path / method)
        assert summary["method"] == method
        assert summary["genotype"] == epochs[-1]["genotype"]
        state = torch.load(tmp_path / method / "checkpoint.pt", weights_only=True)["state"]
        alphas = [epoch["alphas"] for epoch in epochs]
        if method in ("random", "homogeneous"):
            assert alphas == [{}, {}]
            assert "alphas" not in state
        else:
            assert alphas[0] != alphas[1]
            assert sorted(state["alphas"]) == ["tables.normal/op", "tables.reduce/op"]
        assert (alphas[-1], summary["genotype"]) not in found
        found.append((alphas[-1], summary["genotype"]))


@pytest.mark.parametrize("space", [*FAST, *slow(*SLOW)])
def test_every_space_is_searched_and_drawn_and_costed_and_retrained(space: str, tmp_path: Path) -> None:
    sizes = "darts" not in space
    small = ("space.backbone_arguments={depth:8,channels:4}",) if sizes else ("network.cells=1", *SMALL_CELL)
    tiny = ("debug=smoke", "trainer.epochs=1", "trainer.max_steps=1")
    succeed("search", f"+space={space}", *tiny, *small, "hydra.run.dir=run", cwd=tmp_path)
    assert read_json(tmp_path / "run" / "genotype.json")["space"] == space
    succeed("draw", "genotype=run", "output=picture", cwd=tmp_path)
    assert call("cost", "genotype=run", cwd=tmp_path).status == 0
    succeed("retrain", "genotype=run", *tiny, *small[: not sizes], "hydra.run.dir=retrained", cwd=tmp_path)
    assert read_json(tmp_path / "retrained" / "summary.json")["space"] == space


def alphas_of(folder: Path, *words: str) -> dict[str, Any]:
    """The last alphas of a small search."""
    base = ("space=pc_darts", *TINY, *SMALL_CELL, "trainer.arch_warmup=0", f"hydra.run.dir={folder}")
    succeed("search", *base, *words, cwd=folder.parent)
    return read_epochs(folder)[-1]["alphas"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The last alphas without a change, after one epoch and after two."""
    folder = tmp_path_factory.mktemp("plain")
    words = ("", "trainer.epochs=2")
    return {word: alphas_of(folder / str(number), *word.split()) for number, word in enumerate(words)}


@pytest.mark.parametrize(
    "word",
    [
        "trainer.arch_rate=0.1",
        "trainer.precision=bf16",
        "network.stem=imagenet",
        *slow(
            "trainer.arch_warmup=0.99 trainer.epochs=2",
            "trainer.optimizer.lr=0.5",
            "trainer.schedule.final_rate=0.04 trainer.epochs=2",
            "trainer.cutout=4",
            "trainer.clip_norm=0.001",
            "trainer.batch_size=8",
            "trainer.max_steps=3",
            "network.channels=16",
            "data.padding=0",
            "method.alpha_scale=0.1",
            "method.arch_optimizer.weight_decay=0.5",
        ),
    ],
)
def test_every_key_counts(word: str, plain: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """Against the same search without that key's change, in as many epochs."""
    epochs = " ".join(part for part in word.split() if part.startswith("trainer.epochs"))
    assert alphas_of(tmp_path / "run", *word.split()) != plain[epochs]


def test_alphas_rest_in_the_epochs_of_warm_up(tmp_path: Path) -> None:
    words = ("space=pc_darts", *TINY, *SMALL_CELL, "trainer.max_steps=1", "trainer.epochs=4", "trainer.arch_warmup=0.5")
    succeed("search", *words, "hydra.run.dir=run", cwd=tmp_path)
    alphas = [epoch["alphas"] for epoch in read_epochs(tmp_path / "run")]
    assert alphas[0] == alphas[1]
    assert alphas[1] != alphas[2] != alphas[3]


def test_a_person_s_operators_and_sizes_reach_the_genotype(tmp_path: Path) -> None:
    words = ("space=darts", "space.operators=[none,skip_connect,sep_conv_7x7]", "space.num_nodes=2")
    succeed(
        "search", *words, *TINY, "space.inputs_per_node=1", "network.num_classes=17", "hydra.run.dir=run", cwd=tmp_path
    )
    genotype = read_json(tmp_path / "run" / "genotype.json")
    assert genotype["settings"]["operators"] == ["none", "skip_connect", "sep_conv_7x7"]
    assert set(genotype["decisions"]) == {
        f"{kind}/{place}" for kind in ("normal", "reduce") for place in (2, 3, "concat")
    }
    assert len(genotype["decisions"]["normal/3"]) == 1
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["state"]["weights"]
    assert 17 in {len(value) for value in state.values() if value.ndim == 1}


@pytest.mark.parametrize("size", [7, pytest.param(9, marks=pytest.mark.slow)])
def test_odd_image_sizes_work(size: int, tmp_path: Path) -> None:

    images = np.random.default_rng(0).integers(0, 256, (40, size, size), dtype=np.uint8)
    labels = np.arange(40) % 2
    np.savez(tmp_path / "odd.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    words = ("data=npz", f"data.root={tmp_path}/odd.npz", "debug=smoke", "trainer.epochs=1")
    succeed("search", "space=pc_darts", *words, *SMALL_CELL, "hydra.run.dir=run", cwd=tmp_path)
    succeed("retrain", "genotype=run", *words, cwd=tmp_path)
