"""Spaces of sizes on the command line: keys without use and every other mistake are one line, and runs follow on."""

import json
import shlex
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.cli.commands import call, read_json, succeed
from tests.marks import slow

TINY = ("debug=smoke", "trainer.epochs=1", "trainer.max_steps=1")
SMALL = ("space.backbone_arguments={depth:8,channels:4}",)
OWN = "{_target_:tests.cli.test_sizes.Own,_partial_:true}"


class Own(nn.Module):
    """A user's network, for images of 1 x 8 x 8 alone, whose constructor reads numbers."""

    def __init__(self, num_classes: int, hidden: int = 4) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, hidden, 3, padding=1)
        self.norm = nn.BatchNorm2d(hidden)
        self.second = nn.Conv2d(hidden, 8, 3, stride=2, padding=1)
        self.last = nn.Linear(8 * 16, num_classes)
        self.scale = torch.linspace(0, 1, 3)[1].item()

    def forward(self, x: Tensor) -> Tensor:
        return self.last((self.scale * self.second(self.norm(self.first(x)).relu())).flatten(1))


class Broken(Own):
    """A network whose own code fails."""

    def forward(self, x: Tensor) -> Tensor:
        raise KeyError("tokens")


@pytest.fixture(scope="module")
def bits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search of bits in a small network."""
    folder = tmp_path_factory.mktemp("bits")
    succeed("search", "+space=bit_width", *SMALL, *TINY, "hydra.run.dir=run", cwd=folder)
    return folder / "run"


@pytest.mark.parametrize(
    ("word", "command"),
    [
        *(("network.channels=16", command) for command in ("search", "retrain", "cost")),
        ("network={cells:3}", "search"),
        *slow(("network={cells:3}", "retrain"), ("network={cells:3}", "cost")),
        pytest.param("network.cells=3", "search", marks=pytest.mark.slow),
        pytest.param("network.stem=cifar", "search", marks=pytest.mark.slow),
    ],
)
def test_sizes_of_the_skeleton_are_refused_where_they_do_nothing(
    word: str, command: str, bits_run: Path, tmp_path: Path
) -> None:
    key = "network.cells" if "cells" in word else word.split("=")[0]
    words = {
        "search": ("+space=bit_width", *SMALL, *TINY, "hydra.run.dir=run"),
        "retrain": (f"genotype={bits_run}", *TINY, "hydra.run.dir=run"),
        "cost": (f"genotype={bits_run}",),
    }
    assert call(command, *words[command], word, cwd=tmp_path).error == (
        f"space 'bit_width' has no use for {key}; give what its network has, such as "
        "space.backbone_arguments={channels:32}"
    )
    assert not {path.name for path in tmp_path.rglob("*")} & {"search.jsonl", "train.jsonl", "genotype.json"}


@pytest.mark.parametrize("command", ["retrain", "cost"])
def test_there_is_no_auxiliary_head(command: str, bits_run: Path, tmp_path: Path) -> None:
    outcome = call(command, f"genotype={bits_run}", "network.auxiliary=true", cwd=tmp_path)
    assert outcome.error == (
        "space 'bit_width' has no use for network.auxiliary; its networks have no auxiliary head: leave it out"
    )


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("trainer.drop_path=0.2", "trainer.drop_path is 0.2, but this network has no paths to drop: leave it out"),
        (
            "trainer={auxiliary_weight:0.4}",
            "trainer.auxiliary_weight is 0.4, but this network has no auxiliary head: leave it out",
        ),
        (
            "space.init_from=weights.pt",
            "space.init_from=weights.pt are weights that a search starts from, and this command does not search: leave "
            "it out; nas.retrain init=inherit goes on from the weights of a search",
        ),
    ],
)
def test_what_a_retraining_cannot_use_is_refused(word: str, message: str, bits_run: Path, tmp_path: Path) -> None:
    words = (f"genotype={bits_run}", "+space=bit_width", *TINY, "hydra.run.dir=run")
    assert call("retrain", *words, word, cwd=tmp_path).error == message


@pytest.mark.parametrize("command", ["cost", "draw", "export"])
def test_weights_to_start_from_are_for_searches(command: str, bits_run: Path, tmp_path: Path) -> None:
    words = (f"genotype={bits_run}", "+space=bit_width", "space.init_from=weights.pt")
    assert call(command, *words, cwd=tmp_path).error.startswith("space.init_from=weights.pt are weights that a search")


def test_a_network_of_one_s_own_is_typed_again_and_the_error_says_what(tmp_path: Path) -> None:
    own = ("+space=bit_width", "space.backbone=null", f"space.network={OWN}")
    digits = ("space.input_shape=[1,8,8]", *TINY)
    succeed("search", *own, *digits, "hydra.run.dir=run", cwd=tmp_path)
    for command in ("retrain", "cost", "draw", "export"):
        said, asked = call(command, "genotype=run", cwd=tmp_path).error.split("type them again: ")
        assert said.startswith("run was made with classes of your own, which are never taken from a run directory")
        assert shlex.split(asked) == [*own, digits[0]]


@pytest.mark.slow
def test_the_number_of_classes_is_used(tmp_path: Path) -> None:
    words = ("+space=bit_width", *SMALL, *TINY, "network.num_classes=12", "hydra.run.dir=run")
    succeed("search", *words, cwd=tmp_path)
    assert read_json(tmp_path / "run" / "summary.json")["params"] == 5_162 + 2 * (16 + 1)


SAID_BY_THE_SPACE = [
    ("space.widths=[]", "space.widths is empty: give at least one candidate"),
    ("space.weight_bits=[0,4]", "space.weight_bits holds 0; bits are whole numbers from 1 to 32"),
    ("space.input_bits=[4,33]", "space.input_bits holds 33; bits are whole numbers from 1 to 32"),
    ("space.first_bits=40", "space.first_bits holds 40"),
    ("space.operators=[conv_3x3,pool]", "space.operators holds 'pool'; a convolution may become one of conv_1x1"),
    ("space.quantizer=dorefa", "space.quantizer is 'dorefa'; give lsq or nice"),
    ("space.normalization=group", "space.normalization is 'group'; give shared or switchable"),
    ("space.init_from=nowhere.pt", "space.init_from nowhere.pt is no file"),
    ("space.backbone_arguments={width:3}", "space.backbone_arguments holds 'width'; the network has depth"),
]
"""As tests/search_spaces checks without a command."""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        *slow(*SAID_BY_THE_SPACE),
        ("space.widths=[true,0.5]", "space.widths holds True; a width is a share of the channels, above 0 and up to 1"),
        ("space.widths=null", "space.widths is None; give a list"),
        ("space.width=[0.5,1.0]", "there is no key 'space.width' (did you mean 'widths'?); "),
        ("space.input_shape=[3,-1,32]", "space.input_shape is [3, -1, 32], [channels, height, width]: image_size is"),
        (
            "space.widths=[0.3,1.0]",
            "space.widths holds 0.3, which is no whole number of channels at conv/width, 1.2 of 4",
        ),
        ("space.weight_bits=[4,2.5]", "space.weight_bits is [4, 2.5]"),
        ("space.operators=[conv_3x3]", "space.operators is ['conv_3x3']: one is no choice; give several, or []"),
        ("space.input_shape=[3,32]", "space.input_shape is [3, 32]; give [channels, height, width]"),
        ("space.backbone=resnet34", "there is no backbone 'resnet34'; the backbones are resnet20, resnet56"),
        ("space.backbone=null", "there is no network whose size is searched: give space.backbone, or your own"),
        (
            "space.backbone_arguments={depth:8,channels:many}",
            "channels='many', depth=8): TypeError: '<' not supported between instances of 'str' and 'int'",
        ),
        (f"space.network={OWN}", "space.network is given beside the backbone 'resnet20'; give space.backbone=null"),
        ("budget.bops=1", "the budget of 1 BOPs cannot be met: the smallest possible cost in this space is"),
        ("budget.bops=1 budget.hard=true", "the budget of 1 BOPs cannot be met: the smallest possible cost"),
        ("budget.bops=0.3", "; give at least that, or a share of the largest as budget.bops=0.3x"),
        ("budget.bops=5e7x", "budget.bops is '5e7x', more than the largest genotype costs: give up to 1x, or any"),
        ("budget.latency=5ms", "budget.latency is '5ms'; give a positive number of seconds, such as 0.02, a share of"),
        ("budget.bops=0.3GB", "budget.bops is '0.3GB'; give a positive number"),
        ("budget.flops=0.3x", "there is no key 'budget.flops'"),
        ("budget.bops=0.3x budget.macs=0.3x", "a search has one budget, but it was given budget.macs=0.3x and"),
        ("budget.macs=0.3x", "budget.macs: every network of space 'bit_width' costs 49,568 MACs; limit a cost that"),
        ("budget.params=0.3x", "budget.params: every network of space 'bit_width' costs 5,162 parameters; limit a"),
    ],
)
def test_mistakes_in_a_space_are_one_line(words: str, message: str, tmp_path: Path) -> None:
    small = [] if "space.backbone" in words else SMALL
    outcome = call("search", "+space=bit_width", *small, *TINY, *words.split(), "hydra.run.dir=run", cwd=tmp_path)
    assert message in outcome.error
    assert not {path.name for path in tmp_path.rglob("*")} & {"search.jsonl", "genotype.json", "summary.json"}


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            "{_target_: tests.cli.test_sizes.Own}",
            "space.network lacks num_classes, which tests.cli.test_sizes.Own needs",
        ),
        ("{_target_: tests.cli.test_sizes.Own, num_classes: 10}", "space.network is a Own already, but each search"),
        ("{_target_: tests.cli.test_sizes.None, _partial_: true}", "which cannot be found or is no class or function"),
        ("tests.cli.test_sizes.Own", "space.network is 'tests.cli.test_sizes.Own'; should be callable"),
        (OWN, "the network cannot take an image of shape [3, 32, 32]: "),
        (OWN.replace("Own", "Broken"), "an image of shape [3, 32, 32]: its own code fails: KeyError: 'tokens'; mend"),
        (
            OWN.replace("}", ",hidden:wide}"),
            "space.network.hidden is 'wide'; should be a valid integer",
        ),
    ],
)
def test_mistakes_in_ones_own_network_are_one_line(network: str, message: str, tmp_path: Path) -> None:
    words = ("+space=channel_width", "space.backbone=null", f"space.network={network}", *TINY)
    assert message in call("search", *words, cwd=tmp_path).error


def test_ones_own_network_is_followed_by_every_command(tmp_path: Path) -> None:
    """Given on the command line; the genotype holds all but the class, which a stranger could not be trusted with."""
    own = ("space.backbone=null", f"space.network={OWN}")
    words = ("+space=channel_width", *own, "space.input_shape=[1,8,8]", *TINY, "hydra.run.dir=run")
    succeed("search", *words, cwd=tmp_path)
    for init in ("inherit", "scratch"):
        words = ("genotype=run", "+space=channel_width", *own, f"init={init}", *TINY, f"hydra.run.dir={init}")
        succeed("retrain", *words, cwd=tmp_path)
    counted = succeed("cost", "genotype=run", "+space=channel_width", *own, "input_shape=[1,8,8]", cwd=tmp_path).out
    assert f'"params": {read_json(tmp_path / "scratch" / "summary.json")["params"]},' in counted
    assert "type them again: +space=channel_width" in call("export", "genotype=scratch", cwd=tmp_path).error
    lost = call("retrain", "genotype=run", *own, *TINY, cwd=tmp_path).error
    assert lost == "space.backbone, space.network is given without a space; add +space=NAME, the one of the genotype"


def test_a_switchable_search_is_followed_by_a_network_that_inherits(tmp_path: Path) -> None:
    """Its norms have other weights than shared ones, so the genotype says which it has."""
    words = ("+space=channel_width", "space.normalization=switchable", *SMALL, *TINY, "hydra.run.dir=run")
    succeed("search", *words, cwd=tmp_path)
    succeed("retrain", "genotype=run", "init=inherit", *TINY, "hydra.run.dir=retrained", cwd=tmp_path)


def test_weights_that_do_not_fit_are_not_inherited(bits_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "genotype.json").write_bytes((bits_run / "genotype.json").read_bytes())
    inherit = ("retrain", f"genotype={run}", "init=inherit", *TINY)
    assert "checkpoint.pt" in call(*inherit, cwd=tmp_path).error
    (run / "checkpoint.pt").write_bytes((bits_run / "checkpoint.pt").read_bytes()[:1000])
    assert "checkpoint.pt" in call(*inherit, cwd=tmp_path).error
    checkpoint = torch.load(bits_run / "checkpoint.pt", weights_only=True)
    del checkpoint["state"]["weights"]["network.conv.weight"]
    torch.save(checkpoint, run / "checkpoint.pt")
    error = call(*inherit, cwd=tmp_path).error
    assert f"the weights in {run} do not fit the supernet of space 'bit_width'" in error
    assert "network.conv.weight" in error


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widths": "wide"}, "the settings of the genotype do not fit its space: space.widths is 'wide'"),
        ({"backbone": "resnet34"}, "there is no backbone 'resnet34'"),
        ({"backbone_arguments": {"depth": 14}}, "the genotype decides stages/0/0/conv1/weight_bits, "),
        ({"network": {"_target_": "os.system"}}, "the settings of the genotype hold '_target_'; they are plain values"),
        ({"depth": 8}, "the genotype has settings that space 'bit_width' does not know: depth"),
    ],
)
def test_settings_of_a_genotype_that_do_not_fit(
    settings: dict[str, object], message: str, bits_run: Path, tmp_path: Path
) -> None:
    genotype = read_json(bits_run / "genotype.json")
    genotype["settings"] |= settings
    (tmp_path / "changed.json").write_text(json.dumps(genotype))
    assert message in call("cost", "genotype=changed.json", cwd=tmp_path).error


@pytest.mark.slow
def test_a_search_starts_from_a_float_retraining_at_full_width_alone(bits_run: Path, tmp_path: Path) -> None:
    baseline = ("method=homogeneous", "method.candidates=1", "space.widths=[1.0,0.5]")
    succeed("search", "+space=channel_width", *baseline, *SMALL, *TINY, "hydra.run.dir=full", cwd=tmp_path)
    for source, run in (("full", "float"), (str(bits_run), "quantized")):
        succeed("retrain", f"genotype={source}", *TINY, f"hydra.run.dir={run}", cwd=tmp_path)
    words = ("+space=bit_width", *SMALL, *TINY)
    succeed("search", *words, "space.init_from=float", "hydra.run.dir=run", cwd=tmp_path)
    line = call("search", *words, "space.init_from=quantized", cwd=tmp_path).error
    assert line.startswith("space.init_from quantized does not fit the network: ")
    assert line.endswith(": a retraining whose genotype is quantized or narrowed does not fit")
