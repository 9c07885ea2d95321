"""Genotypes and run directories that are corrupt, foreign or used: told in one line, nothing run, nothing lost."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from search_spaces.cells import CellSpace
from tests.cli import traces
from tests.cli.commands import SMALL_CELL, TINY, call, snapshot, succeed
from tests.cli.derivation import OPERATORS

Change = Callable[[dict[str, Any]], Any]
TRAP = {"_target_": f"{traces.__name__}.leave"}


def changed(**changes: Any) -> Change:
    """A genotype with other fields."""
    return lambda data: {**data, **changes}


def decided(place: str, value: Any) -> Change:
    """A genotype with another decision."""
    return lambda data: {**data, "decisions": {**data["decisions"], place: value}}


def set_to(key: str, value: Any) -> Change:
    """A genotype with another setting."""
    return lambda data: {**data, "settings": {**data["settings"], key: value}}


FOREIGN: dict[str, tuple[Change, list[str]]] = {
    "other JSON": (lambda data: {"a": 1}, ["file.json", "not a genotype"]),
    "a list": (lambda data: [data], ["file.json", "not a genotype"]),
    "a summary": (changed(format="nas-summary"), ["file.json", "nas-genotype"]),
    "another version": (changed(version=2), ["file.json", "version 2", "reads 1"]),
    "another space": (changed(space="other"), ["'other'", "darts, pc_darts"]),
    "no decisions": (changed(decisions={}), ["normal"]),
    "a field too many": (changed(code="x"), ["file.json", "code"]),
    "an unknown operator": (decided("normal/2", [["conv_9x9", 0], ["none", 1]]), ["'conv_9x9'", "sep_conv_3x3"]),
    "an input that is not there": (decided("normal/2", [["skip_connect", 7]]), ["7", "0 to 1"]),
    "a negative input": (decided("reduce/2", [["skip_connect", -1]]), ["-1", "0 to 1"]),
    "an operator that is no name": (decided("normal/2", [[3, 0]]), ["normal/2", "[3, 0]"]),
    "a concatenation of nothing": (decided("normal/concat", []), ["concatenates", "[]"]),
    "a place that is none": (decided("normal/width", 3), ["'normal/width'"]),
    "an unknown setting": (set_to("colour", 3), ["colour"]),
    "a setting of another type": (set_to("num_nodes", "two"), ["num_nodes", "two"]),
    "a class as setting": (set_to("_target_", TRAP["_target_"]), ["_target_"]),
    "a class inside a setting": (set_to("extra_operators", {"a": TRAP}), ["_target_"]),
    "a class in a list": (set_to("operators", ["none", TRAP]), ["_target_"]),
}


@pytest.fixture
def genotype() -> dict[str, Any]:
    """The data of a genotype that loads."""
    space = CellSpace(name="pc_darts", operators=OPERATORS, partial_channels=4, edge_normalization=True)
    return space.sample(torch.Generator().manual_seed(0)).to_dict()


def test_the_genotype_to_change_loads(genotype: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text(json.dumps(genotype))
    succeed("cost", "genotype=file.json", "network.cells=1", cwd=tmp_path)


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_genotype_is_named_with_what_is_allowed(name: str, genotype: dict[str, Any], tmp_path: Path) -> None:
    change, parts = FOREIGN[name]
    (tmp_path / "file.json").write_text(json.dumps(change(genotype)))
    refused(tmp_path, parts, "cost", "genotype=file.json")


def test_a_genotype_does_not_read_the_environment(
    genotype: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SECRET", "swordfish")
    (tmp_path / "file.json").write_text(json.dumps(set_to("operators", ["${oc.env:MY_SECRET}"])(genotype)))
    outcome = call("cost", "genotype=file.json", cwd=tmp_path)
    assert "swordfish" not in outcome.error + outcome.out


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b'{"format": "nas-genotype", "ver', bytes(range(256)), b"\x89PNG\r\n\x1a\n", b"[" * 5000, b"hello"],
    ids=["empty", "brace", "truncated", "binary", "png", "nested", "text"],
)
def test_a_corrupt_genotype_is_named(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "file.json").write_bytes(data)
    refused(tmp_path, ["file.json", "not a genotype"], "cost", "genotype=file.json")


@pytest.mark.parametrize("command", ["draw", "retrain"])
def test_no_command_takes_a_corrupt_genotype(command: str, tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text("{")
    refused(tmp_path, ["file.json", "not a genotype"], command, "genotype=file.json")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('tests.cli.traces').cli.traces.leave()",
        "Genotype(normal=__import__('tests.cli.traces').cli.traces.leave(), normal_concat=[2], reduce=[])",
        "Genotype(normal=[('sep_conv_3x3', 0)], normal_concat=range(2, 6), reduce=[], reduce_concat=[2])",
        "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 9)], normal_concat=[2], reduce=[], reduce_concat=[2])",
    ],
)
def test_text_in_the_authors_form_is_never_evaluated(text: str, tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text(text)
    refused(tmp_path, ["file.json"], "draw", "genotype=file.json")


def test_a_genotype_that_is_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(tmp_path, ["'nowhere'", "DARTS_V2", "run directory"], "retrain", "genotype=nowhere")
    refused(tmp_path, ["empty", "genotype.json"], "retrain", "genotype=empty")
    refused(tmp_path, ["genotype"], "retrain")


def test_a_damaged_summary_of_the_search_is_named(genotype: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "genotype.json").write_text(json.dumps(genotype))
    (tmp_path / "run" / "summary.json").write_text("{")
    refused(tmp_path, ["run/summary.json"], "retrain", "genotype=run", *TINY)  # before it trains, not after


@pytest.mark.parametrize(
    ("command", "trace"),
    [
        ("search", "search.jsonl"),
        ("search", "summary.json"),
        ("search", "checkpoint.pt"),
        ("retrain", "train.jsonl"),
        ("retrain", "search.jsonl"),
    ],
)
def test_a_used_directory_is_refused(command: str, trace: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / trace).write_text("precious")
    given = "space=darts" if command == "search" else "genotype=DARTS_V2"
    refused(tmp_path, ["run", trace, "hydra.run.dir"], command, given, *TINY, "hydra.run.dir=run")


@pytest.mark.parametrize("trace", ["multirun.yaml", "summary.json"])
def test_a_used_sweep_folder_is_refused(trace: str, tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / trace).write_text("precious")
    words = ("-m", "space=darts", "seed=1,2", *TINY, *SMALL_CELL, "hydra.sweep.dir=sweep")
    refused(tmp_path, ["sweep", trace, "hydra.sweep.dir"], "search", *words)


def test_a_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("precious")
    refused(tmp_path, ["'run'"], "search", "space=darts", *TINY, "hydra.run.dir=run")


def test_the_report_of_nothing_says_so(tmp_path: Path) -> None:
    refused(tmp_path, ["nowhere"], "report", "nowhere")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "search.jsonl").write_text("")
    refused(tmp_path, ["run"], "report", "run")


def refused(folder: Path, parts: list[str], command: str, *words: str) -> None:
    """The command ends with one line that has all parts; every file is as it was, and nothing was called."""
    traces.left.clear()
    before = kept(folder)
    line = call(command, *words, cwd=folder).error
    assert all(part in line for part in parts), line
    assert kept(folder) == before
    assert traces.left == []


def kept(folder: Path) -> dict[str, bytes]:
    """All files but what Hydra writes down of a run's settings."""
    return {name: data for name, data in snapshot(folder).items() if ".hydra/" not in name}
