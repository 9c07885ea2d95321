"""The sizes of published networks, and that counting leaves nothing behind."""

import json
from pathlib import Path
from typing import Any

import pytest

from nas.costs import bops_per_output
from tests.cli.commands import call, succeed

V2 = {
    "params": 3_349_342,
    "macs": 528_359_040,
    "bops": 560_747_727_782,
    "memory_bytes": 4 * 3_349_342,
    "peak_activation_bytes": 6_868_992,
}
"""DARTS_V2 at 36 channels and 20 cells on 32x32 (Liu et al., 2019: 3.3 M); specs/darts.md, 1.6. Bit operations and
activations are recorded from this code, which tests/costs holds to hooks and to networks followed by hand."""


def cost(cwd: Path, *words: str) -> dict[str, Any]:
    """The JSON object on the last line, after a check that it holds integers and that no file was left."""
    before = sorted(cwd.rglob("*"))
    found = json.loads(succeed("cost", *words, cwd=cwd).out.splitlines()[-1])
    assert all(type(value) is int for value in found.values())
    assert sorted(cwd.rglob("*")) == before
    return found


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param("network.channels=36 network.cells=20 network.stem=cifar", V2, marks=pytest.mark.slow),
        ("input_shape=[3,32,32] network.auxiliary=true", {**V2, "auxiliary_params": 476_426}),
        # 576 = 4 * 4 * 36 features reach the classifier
        pytest.param(
            "network.num_classes=100",
            {
                **V2,
                "params": 3_349_342 + 90 * 577,
                "macs": 528_359_040 + 90 * 576,
                "bops": V2["bops"] + 90 * bops_per_output(576, 32, 32),
                "memory_bytes": 4 * (3_349_342 + 90 * 577),
            },
            marks=pytest.mark.slow,
        ),
    ],
)
def test_darts_v2_costs_what_its_authors_say(words: str, expected: dict[str, int], tmp_path: Path) -> None:
    assert cost(tmp_path, "genotype=DARTS_V2", *words.split()) == expected


@pytest.mark.slow
def test_a_larger_image_costs_more_and_weighs_the_same(tmp_path: Path) -> None:
    found = cost(tmp_path, "genotype=DARTS_V2", "input_shape=[3,64,64]")
    assert (found["params"], found["memory_bytes"]) == (V2["params"], V2["memory_bytes"])
    # all but the classifier, 10 outputs from 576 features, grows with the number of pixels
    assert found["macs"] == 4 * (V2["macs"] - 5_760) + 5_760
    classifier = 10 * bops_per_output(576, 32, 32)
    assert found["bops"] == 4 * (V2["bops"] - classifier) + classifier


@pytest.mark.slow
def test_the_imagenet_stem_has_a_thousand_classes_and_images_of_224(tmp_path: Path) -> None:
    words = ("genotype=DARTS_V2", "network.channels=48", "network.cells=14", "network.stem=imagenet")
    found = cost(tmp_path, *words)
    assert (found["params"], found["macs"]) == (4_718_752, 529_911_552)  # specs/darts.md, 1.6: 529.912 M
    assert cost(tmp_path, *words, "network.num_classes=1000", "input_shape=[3,224,224]") == found


def test_pc_darts_costs_what_its_authors_say(tmp_path: Path) -> None:
    assert cost(tmp_path, "genotype=PC_DARTS_cifar")["params"] == 3_634_678


def test_a_run_directory_and_its_file_are_the_same(pc_darts_run: Path, tmp_path: Path) -> None:
    sizes = ("network.channels=8", "network.cells=2", "input_shape=[1,8,8]")
    summary = json.loads((pc_darts_run / "summary.json").read_text())
    found = cost(tmp_path, f"genotype={pc_darts_run}", *sizes)
    assert found == cost(tmp_path, f"genotype={pc_darts_run / 'genotype.json'}", *sizes)
    assert {key: found[key] for key in found if key != "peak_activation_bytes"} == {
        key: summary[key] for key in ("params", "macs", "bops", "memory_bytes")
    }


def test_a_run_directory_is_counted_for_the_images_of_its_run(pc_darts_run: Path, tmp_path: Path) -> None:
    sizes = ("network.channels=8", "network.cells=2")
    outcome = call("cost", f"genotype={pc_darts_run}", *sizes, cwd=tmp_path)
    assert outcome.err == "counted for input_shape=[1,8,8] and 10 classes\n"
    summary, found = json.loads((pc_darts_run / "summary.json").read_text()), json.loads(outcome.out)
    assert found["bops"] == summary["bops"]
    words = (*sizes, "network.stem=imagenet")
    outcome = call("cost", f"genotype={pc_darts_run}", *words, cwd=tmp_path)
    assert outcome.err == "counted for input_shape=[3,224,224] and 1000 classes\n"
    assert json.loads(outcome.out) == cost(tmp_path, f"genotype={pc_darts_run}/genotype.json", *words)


@pytest.mark.slow
def test_of_a_run_with_a_damaged_checkpoint_the_images_can_be_given(pc_darts_run: Path, tmp_path: Path) -> None:
    (tmp_path / "genotype.json").write_bytes((pc_darts_run / "genotype.json").read_bytes())
    (tmp_path / "checkpoint.pt").write_bytes((pc_darts_run / "checkpoint.pt").read_bytes()[:1000])
    assert call("cost", "genotype=.", cwd=tmp_path).error.endswith("; or give input_shape=[CHANNELS,HEIGHT,WIDTH]")
    cost(tmp_path, "genotype=.", "input_shape=[1,8,8]")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("genotype=DARTS_V2 input_shape=[3,32]", "input_shape is [3, 32]"),
        ("genotype=DARTS_V2 input_shape=32", "input_shape is 32"),
        ("genotype=DARTS_V2 input_shape=[3,0,32]", "0"),
        ("genotype=DARTS_V2 network.stem=mnist", "'cifar' or 'imagenet'"),
        ("genotype=DARTS_V2 network.channels=0", "network.channels is 0"),
        ("genotype=DARTS_V2 seed=1", "'seed'"),
        ("genotype=DARTS_V3", "DARTS_V2"),
        ("", "genotype"),
    ],
)
def test_mistakes_are_one_line(words: str, named: str, tmp_path: Path) -> None:
    outcome = call("cost", *words.split(), cwd=tmp_path)
    assert named in outcome.error
    assert outcome.out == ""
    assert not list(tmp_path.iterdir())
