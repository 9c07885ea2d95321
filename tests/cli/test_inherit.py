"""Retraining that goes on from the weights of the supernet."""

import json
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from nas.architecture import Genotype
from nas.space import Skeleton
from search_spaces.networks import NetworkSpace
from tests.cli.commands import call, read_json, succeed

TINY = ("debug=smoke", "trainer.epochs=1", "trainer.max_steps=1")
SMALL = ("space.backbone_arguments={depth:8,channels:4}", *TINY, "threads=1")
STILL = ("trainer.optimizer.lr=1e-30", "trainer.optimizer.weight_decay=0")


@pytest.fixture(scope="module")
def joint_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search of widths, bits and operators in a small network."""
    folder = tmp_path_factory.mktemp("joint")
    succeed("search", "+space=joint", *SMALL, "hydra.run.dir=run", cwd=folder)
    return folder / "run"


def test_it_starts_from_the_weights_that_the_search_left(joint_run: Path, tmp_path: Path) -> None:
    """Step sizes included."""
    assert any(name.endswith("step") for name in inherited(joint_run, tmp_path))
    assert read_json(tmp_path / "r" / "summary.json")["space"] == "joint"


@pytest.mark.slow
def test_so_do_the_norms_of_each_width(tmp_path: Path) -> None:
    """The genotype says that the supernet had them, whatever the default is."""
    words = ("+space=channel_width", "space.normalization=switchable", *SMALL, "hydra.run.dir=run")
    succeed("search", *words, cwd=tmp_path)
    assert any(
        "norms.1" in name
        for name in torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["state"]["weights"]
    )
    assert "network.norm.weight" in inherited(tmp_path / "run", tmp_path)


def inherited(run: Path, tmp_path: Path) -> set[str]:
    """Parameters of a network that, without learning, keeps what was cut out of the supernet."""
    succeed("retrain", f"genotype={run}", "init=inherit", *TINY, *STILL, "hydra.run.dir=r", cwd=tmp_path)
    state = torch.load(run / "checkpoint.pt", weights_only=True)["state"]
    genotype = Genotype.from_dict(read_json(run / "genotype.json"))
    space = NetworkSpace(name=genotype.space, **genotype.settings)
    skeleton = Skeleton(**state["skeleton"])
    assert skeleton.image_shape == (1, 8, 8)
    supernet = space.supernet(skeleton)
    supernet.load_state_dict(state["weights"])
    wanted = dict(space.inherited(supernet, genotype).named_parameters())
    found = torch.load(tmp_path / "r" / "checkpoint.pt", weights_only=True)["state"]["weights"]
    assert_close({name: found[name] for name in wanted}, {name: p.detach() for name, p in wanted.items()})
    return set(wanted)


def test_from_scratch_other_weights_are_drawn(joint_run: Path, tmp_path: Path) -> None:
    succeed("retrain", f"genotype={joint_run}", *TINY, *STILL, "hydra.run.dir=r", cwd=tmp_path)
    searched = torch.load(joint_run / "checkpoint.pt", weights_only=True)["state"]["weights"]["network.conv.weight"]
    found = torch.load(tmp_path / "r" / "checkpoint.pt", weights_only=True)["state"]["weights"]["network.conv.weight"]
    assert not torch.equal(found, searched[: len(found)])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("genotype=DARTS_V2",), "takes the weights of a search's supernet, which DARTS_V2 has not: give init=scratch"),
        (("data=mnist", "data.root=nowhere"), "nowhere"),
        (("init=warm",), "init"),
    ],
)
def test_mistakes_are_one_line(joint_run: Path, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    outcome = call("retrain", f"genotype={joint_run}", "init=inherit", "debug=smoke", *words, cwd=tmp_path)
    assert message in outcome.error


def test_a_space_whose_networks_are_built_otherwise(pc_darts_run: Path, tmp_path: Path) -> None:
    outcome = call("retrain", f"genotype={pc_darts_run}", "init=inherit", "debug=smoke", cwd=tmp_path)
    assert "networks of space 'pc_darts' have other parameters than its supernet, such as" in outcome.error


@pytest.mark.slow
def test_what_was_fine_tuned_is_exported_as_integers(joint_run: Path, tmp_path: Path) -> None:
    """The file is compared with the network by the command itself; here that its weights are integers of their bits."""
    import numpy as np
    import onnx

    succeed("retrain", f"genotype={joint_run}", "init=inherit", *TINY, "hydra.run.dir=r", cwd=tmp_path)
    outcome = succeed("export", "genotype=r", cwd=tmp_path)
    assert "largest difference to the network's logits" in outcome.out
    model = onnx.load(tmp_path / "r" / "network.onnx")
    operators = [node.op_type for node in model.graph.node]
    assert operators.count("DequantizeLinear") > operators.count("QuantizeLinear") > 0
    weights = [onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    integers = [weight for weight in weights if weight.dtype == np.int8 and weight.ndim > 1]
    bits = json.loads(next(entry.value for entry in model.metadata_props if entry.key == "bits"))
    assert len(integers) == len(bits)
    found = sorted(len(np.unique(weight)) for weight in integers)
    allowed = sorted(2 ** layer["weight_bits"] for layer in bits.values())
    assert all(number <= most for number, most in zip(found, allowed, strict=True))
