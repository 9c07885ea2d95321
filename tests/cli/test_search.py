"""What a search leaves in its directory (docs/layout.md, 'Files of a run')."""

import platform
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image

from nas.architecture import Genotype
from nas.costs import count
from tests.cli.commands import read_epochs, read_json
from tests.cli.conftest import Searched
from tests.cli.derivation import decisions
from tests.cli.networks import network, params_and_macs

FIELDS = ("epoch", "train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "alphas", "genotype", "seconds")


def test_it_leaves_these_files_and_no_others(run: Path) -> None:
    files = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    (events,) = {name for name in files if name.startswith("events.out.tfevents.")}
    assert files - {events} == {
        ".hydra/config.yaml",
        ".hydra/hydra.yaml",
        ".hydra/overrides.yaml",
        "search.jsonl",
        "genotype.json",
        "genotype.dot",
        "genotype.svg",
        "genotype.png",
        "evolution.gif",
        "checkpoint.pt",
        "checkpoint.before.pt",
        "summary.json",
    }
    assert [path.name for path in run.parent.iterdir()] == ["run"]


def test_every_epoch_is_a_line(run: Path) -> None:
    epochs = read_epochs(run)
    assert [epoch["epoch"] for epoch in epochs] == [0, 1]
    for epoch in epochs:
        assert tuple(epoch) == FIELDS
        assert epoch["train_loss"] > 0
        assert epoch["valid_loss"] > 0
        # two batches of 16 each
        assert epoch["train_accuracy"] * 32 == pytest.approx(round(epoch["train_accuracy"] * 32))
        assert epoch["valid_accuracy"] * 32 == pytest.approx(round(epoch["valid_accuracy"] * 32))
        assert epoch["seconds"] > 0
        weighed = [name for name in epoch["alphas"] if name.endswith("/input")]
        assert len(weighed) == (8 if epoch["genotype"]["space"] == "pc_darts" else 0)
        assert len(epoch["alphas"]) - len(weighed) == 28
    assert epochs[0]["alphas"] != epochs[1]["alphas"]


def test_the_genotype_is_what_the_alphas_lead_to(run: Path) -> None:
    for epoch in read_epochs(run):
        assert epoch["genotype"]["decisions"] == decisions(epoch["alphas"])
    assert read_json(run / "genotype.json") == epoch["genotype"] == read_json(run / "summary.json")["genotype"]


def test_the_summary_says_what_was_found_and_how(run: Path) -> None:
    summary, last = read_json(run / "summary.json"), read_epochs(run)[-1]
    genotype = Genotype.from_json((run / "genotype.json").read_text())
    assert (summary["params"], summary["macs"]) == params_and_macs(network(genotype), (1, 8, 8))
    cost = count(network(genotype), (1, 8, 8))
    assert (summary["bops"], summary["memory_bytes"]) == (cost.bops, 4 * summary["params"])
    for metric in ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy"):
        assert summary[metric] == last[metric]
    assert not [key for key in summary if key.startswith("test")]
    expected = {"status": "finished", "command": "search", "method": "first_order", "seed": 0, "epochs": 2}
    assert {key: summary[key] for key in expected} == expected
    assert summary["space"] == genotype.space
    assert summary["device"] == "cpu (1 thread)"
    assert summary["versions"]["python"] == platform.python_version()
    assert summary["versions"]["torch"] == torch.__version__
    assert summary["wall_seconds"] > sum(epoch["seconds"] for epoch in read_epochs(run)) > 0


def test_the_checkpoint_holds_the_last_state(run: Path) -> None:
    state = torch.load(run / "checkpoint.pt", weights_only=True)["state"]
    last = read_epochs(run)[-1]
    assert len(state["records"]) == 2
    rows = [alphas for name, alphas in last["alphas"].items() if name.startswith("reduce/") and name.endswith("/op")]
    assert state["alphas"]["tables.reduce/op"].tolist() == rows
    # supernet of C = 8, two cells, one input channel
    classifier = [value for name, value in state["weights"].items() if value.shape[:1] == (10,) and value.ndim == 2]
    assert len(classifier) == 1
    assert state["weight_optimizer"]["state"]
    assert state["arch_optimizer"]["state"]


def test_the_pictures_are_whole(run: Path) -> None:
    with Image.open(run / "genotype.png") as picture:
        picture.load()
        assert picture.width >= 400
        assert len(picture.convert("RGB").getcolors(maxcolors=1 << 24) or []) > 10
        assert picture.format == "PNG"
    with Image.open(run / "evolution.gif") as film:
        assert film.format == "GIF"
        assert film.n_frames == 2
        assert film.width >= picture.width
        assert film.height >= picture.height
    drawn = (run / "genotype.svg").read_text()
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    dot = (run / "genotype.dot").read_text()
    for title in ("normal cell", "reduction cell"):
        assert title in drawn
        assert title in dot
    genotype = read_json(run / "genotype.json")["decisions"]
    for operator in {gene[0] for place, genes in genotype.items() if "concat" not in place for gene in genes}:
        assert operator in dot
        assert operator in drawn


@pytest.mark.parametrize("space", ["darts", "pc_darts"])
def test_it_says_what_it_found_and_what_to_type_next(space: str, searched: Searched) -> None:
    run, outcome = searched(space)
    summary = read_json(run / "summary.json")
    assert f"searched {space} by first_order, seed 0" in outcome.out
    assert f"{summary['valid_accuracy']:.2%}" in outcome.out
    assert f"{summary['params']:,}" in outcome.out
    assert f"{summary['macs']:,}" in outcome.out
    assert outcome.out.splitlines()[-1] == "next: python -m nas.retrain genotype=run"
