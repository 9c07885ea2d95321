"""Spaces of the sizes of networks: contracts, costs and what is searched."""

import copy
import functools
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from nas.architecture import Mixture
from nas.costs import count
from nas.space import SearchSpace, Skeleton
from search_spaces.networks import CifarResNet, NetworkSpace
from tests.contracts import EXACT, SpaceContract, draws, random_images

SMALL: dict[str, Any] = {"backbone": "resnet20", "backbone_arguments": {"depth": 8, "channels": 8}}
WIDTHS = {"widths": (0.25, 0.5, 1.0)}
BITS = {"weight_bits": (2, 4, 32), "input_bits": (2, 8), "first_bits": 8, "last_bits": 8}
JOINT = {**WIDTHS, **BITS, "operators": ("conv_3x3", "sep_conv_3x3", "conv_1x1")}


class Concatenating(nn.Module):
    """Dense connections, a depthwise convolution, a flattened image and a layer that is called twice."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 8, 3, 2, padding=1)
        self.norm = nn.BatchNorm2d(12)
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.twice = nn.Conv2d(12, 12, 1, bias=False)
        self.scale = nn.Parameter(torch.ones(12, 1, 1))
        self.last = nn.Linear(12 * 16, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardswish(self.first(x))
        x = self.norm(torch.cat([F.avg_pool2d(x, 2), self.second(x)], dim=1))
        x = self.twice(torch.sigmoid(self.twice(self.depthwise(x)))) * self.scale
        return self.last(torch.flatten(F.adaptive_avg_pool2d(x, 4), 1))


class Splitting(nn.Module):
    """One layer whose channels go two ways."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, 12, 3, padding=1)
        self.upper = nn.Conv2d(4, 8, 3, padding=1)
        self.lower = nn.Conv2d(8, 8, 1)
        self.last = nn.Linear(8, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        upper, lower = torch.tensor_split(torch.relu(self.first(x)), [4], dim=1)
        return self.last(torch.relu(self.upper(upper) + self.lower(lower)).mean(dim=(2, 3)))


SPACES: dict[str, Callable[[], NetworkSpace]] = {
    "widths": lambda: NetworkSpace(name="widths", **SMALL, **WIDTHS),
    "switchable": lambda: NetworkSpace(name="switchable", **SMALL, **WIDTHS, normalization="switchable"),
    "bits": lambda: NetworkSpace(name="bits", **SMALL, **BITS),
    "joint": lambda: NetworkSpace(name="joint", **SMALL, **JOINT),
    "mine": lambda: NetworkSpace(name="mine", network=Concatenating, widths=(0.25, 0.5, 1.0), input_bits=(3, 32)),
}


@functools.cache
def made(name: str) -> NetworkSpace:
    """The space of this name, made when first asked for: to follow the channels through a network takes a while."""
    return SPACES[name]()


@functools.cache
def made_supernet(name: str, skeleton: Skeleton) -> nn.Module:
    torch.manual_seed(0)
    return made(name).supernet(skeleton).double()


@pytest.fixture(params=list(SPACES))
def space(request: pytest.FixtureRequest) -> NetworkSpace:
    return made(request.param)


class TestSpaceContract(SpaceContract):
    """All that every space promises; the image is small, so that flattened features fit."""

    @pytest.fixture
    def skeleton(self) -> Skeleton:
        return Skeleton(image_size=(8, 8), num_classes=5)

    @pytest.fixture(params=list(SPACES))
    def space(self, request: pytest.FixtureRequest) -> SearchSpace:
        return made(request.param)

    @pytest.fixture
    def supernet(self, space: SearchSpace, skeleton: Skeleton) -> nn.Module:
        return copy.deepcopy(made_supernet(space.name, skeleton))


def test_the_cost_of_a_genotype_is_that_of_its_network(space: NetworkSpace) -> None:
    skeleton = Skeleton(image_size=(8, 8), in_channels=1, num_classes=5)
    models = {kind: space.cost(kind, skeleton) for kind in ("params", "macs", "bops", "memory")}
    for genotype in draws(space, 3):
        found = count(space.network(genotype, skeleton), skeleton.image_shape)
        counted = {"params": found.params, "macs": found.macs, "bops": found.bops, "memory": found.memory_bytes}
        assert {kind: model.exact(genotype.decisions) for kind, model in models.items()} == counted
        for kind, model in models.items():
            expected = model.expected(space.selection(genotype))
            assert_close(expected, torch.tensor(counted[kind], dtype=torch.float64), rtol=1e-12, atol=0)


def uniform(space: NetworkSpace) -> Mixture:
    return Mixture(
        space._layout,
        {t: torch.full(space._layout.shape(t), 1 / space._layout.shape(t)[1]) for t in space._layout.rows},
    )


def test_every_network_of_random_search_trains(space: NetworkSpace) -> None:
    """A forward and a backward pass of the discrete form, with a gradient for every weight."""
    skeleton = Skeleton(image_size=(8, 8), num_classes=5)
    torch.manual_seed(0)
    network = space.network(draws(space, 1)[0], skeleton).double()
    images = random_images(4, 3, 8, 8)
    F.cross_entropy(network(images), torch.arange(4)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert network.eval()(images).isfinite().all()


def test_the_widest_float_network_is_the_network_itself() -> None:
    space = NetworkSpace(name="widths", **SMALL, **WIDTHS)
    skeleton = Skeleton(image_size=(8, 8))
    torch.manual_seed(0)
    plain = CifarResNet(depth=8, channels=8)
    torch.manual_seed(0)
    network = space.network(space.homogeneous()["width 1.0"], skeleton)
    assert_close(dict(network.network.state_dict()), dict(plain.state_dict()), rtol=0, atol=0)
    images = random_images(2, 3, 8, 8).float()
    assert torch.equal(network(images), plain(images))


def test_a_narrow_network_has_the_layers_of_a_narrow_network() -> None:
    """All widths at one half: the very modules of a residual network with half of the channels."""
    space = NetworkSpace(name="widths", **SMALL, **WIDTHS)
    narrow = space.network(space.homogeneous()["width 0.5"], Skeleton(image_size=(8, 8))).network
    wanted = CifarResNet(depth=8, channels=4)
    assert [str(module) for module in narrow.modules()] == [str(module) for module in wanted.modules()]
    assert {k: v.shape for k, v in narrow.state_dict().items()} == {k: v.shape for k, v in wanted.state_dict().items()}


def test_the_choices_are_these() -> None:
    space = NetworkSpace(name="joint", **SMALL, **JOINT)
    kinds = ["op", "width", "weight_bits", "input_bits"]
    found = {kind: [choice.name for choice in space.choices if choice.kind == kind] for kind in kinds}
    blocks = [f"stages/{stage}/0/conv{number}" for stage in range(3) for number in (1, 2)]
    shortcuts = [f"stages/{stage}/0/shortcut/0" for stage in (1, 2)]
    assert found["op"] == [f"{place}/op" for place in blocks]
    # one width for the stem and the block that is added to it, one inside each block, one for each later stage
    inside = [f"stages/{stage}/0/conv1/width" for stage in range(3)]
    assert set(found["width"]) == {"conv/width", *inside, "stages/1/0/conv2/width", "stages/2/0/conv2/width"}
    assert set(found["weight_bits"]) == {f"{place}/weight_bits" for place in [*blocks, *shortcuts]}
    assert set(found["input_bits"]) == {f"{place}/input_bits" for place in [*blocks, *shortcuts]}


def test_homogeneous_networks_choose_the_same_everywhere() -> None:
    bits = NetworkSpace(name="bits", **SMALL, weight_bits=(2, 4, 32), input_bits=(2, 4))
    assert list(bits.homogeneous()) == ["2 bits", "4 bits"]
    assert set(bits.homogeneous()["4 bits"].decisions.values()) == {4}
    joint = NetworkSpace(name="joint", **SMALL, **{**JOINT, "input_bits": (2, 4)})
    assert len(joint.homogeneous()) == 3 * 3 * 2
    assert "sep_conv_3x3, width 0.5, 2 bits" in joint.homogeneous()


def test_the_random_state_stays_when_choices_are_listed() -> None:
    before = torch.get_rng_state()
    space = SPACES["joint"]()
    space.cost("macs", Skeleton())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widths": ()}, "^space.widths is empty: give at least one candidate$"),
        ({"weight_bits": ()}, "^space.weight_bits is empty: give at least one candidate$"),
        ({"widths": (0.5, 0.5, 1.0)}, "^space.widths names a candidate twice"),
        ({"widths": (0.5, 1.5)}, "^space.widths holds 1.5; a width is a share of the channels, above 0 and up to 1$"),
        (
            {"widths": (0.3, 1.0)},
            "^space.widths holds 0.3, which is no whole number of channels at conv/width, 2.4 of 8; "
            "give multiples of 1/8, such as 0.25$",
        ),
        (
            {"widths": (0.5, 0.5 + 1e-12)},
            "^space.widths holds 0.5 and 0.500000000001, both 4 of 8 channels at conv/width; give each once$",
        ),
        ({"widths": (0.5,)}, r"^space.widths is \[0.5\]: one width is no choice; give several, or \[1.0\]$"),
        ({"weight_bits": (0, 4)}, "^space.weight_bits holds 0; bits are whole numbers from 1 to 32, which is float$"),
        ({"input_bits": (4, 33)}, "^space.input_bits holds 33; bits are whole numbers from 1 to 32, which is float$"),
        ({"input_bits": (4, 2.5)}, "^space.input_bits holds 2.5; bits are whole numbers"),
        ({"first_bits": 64, **WIDTHS}, "^space.first_bits holds 64; bits are whole numbers"),
        ({}, "^nothing in this network is a choice: give two or more space.widths, bits or operators$"),
        (
            {"operators": ("conv_3x3", "pool")},
            "^space.operators holds 'pool'; a convolution may become one of",
        ),
        ({"quantizer": "dorefa", **WIDTHS}, "^space.quantizer is 'dorefa'; give lsq or nice, or a class of your own$"),
        ({"normalization": "group", **WIDTHS}, "^space.normalization is 'group'; give shared or switchable$"),
        ({"init_from": "nowhere.pt", **WIDTHS}, "^space.init_from nowhere.pt is no file"),
    ],
)
def test_mistakes_are_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        NetworkSpace(name="wrong", **SMALL, **settings).supernet(Skeleton())
    assert "\n" not in str(caught.value)


class Grouped(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.grouped = nn.Conv2d(8, 8, 3, groups=2)
        self.free = nn.Conv2d(8, 8, 1)
        self.last = nn.Linear(8, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.free(self.grouped(self.first(x))).mean(dim=(2, 3)))


class Shifted(nn.Conv2d):
    """A convolution of a user's own kind."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


class Odd(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.first = Shifted(3, 8, 3)
        self.last = nn.Linear(8, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x).mean(dim=(2, 3)))


def test_what_cannot_be_searched_is_named_or_stays() -> None:
    with pytest.raises(ValueError, match=r"^the 8 channels of 'first' cannot be searched: .*grouped.*keep_uns"):
        NetworkSpace(name="grouped", network=Grouped, widths=(0.5, 1.0))
    kept = NetworkSpace(name="grouped", network=Grouped, widths=(0.5, 1.0), keep_unsearchable=True)
    assert [choice.name for choice in kept.choices] == ["free/width"]
    with pytest.raises(ValueError, match=r"^the bits of layer 'first' cannot be searched: it is a Shifted, not"):
        NetworkSpace(name="odd", network=Odd, weight_bits=(2, 4))
    kept = NetworkSpace(name="odd", network=Odd, weight_bits=(2, 4), keep_unsearchable=True)
    assert [choice.name for choice in kept.choices] == ["last/weight_bits"]


class Reading(nn.Module):
    """A layer of some kind reads the channels of a convolution; another convolution reads the layer's."""

    def __init__(self, num_classes: int, reader: nn.Module) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.reader = reader
        self.free = nn.Conv2d(8, 8, 1)
        self.last = nn.Linear(8, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        x = (
            self.reader(x.flatten(2)).unflatten(2, x.shape[2:])
            if isinstance(self.reader, nn.Conv1d)
            else self.reader(x)
        )
        return self.last(torch.relu(self.free(torch.relu(x))).mean(dim=(2, 3)))


@pytest.mark.parametrize(
    ("reader", "kind"),
    [
        (lambda: nn.ConvTranspose2d(8, 8, 3), "ConvTranspose2d"),
        (lambda: nn.Conv1d(8, 8, 3, padding=1), "Conv1d"),
        (lambda: Shifted(8, 8, 3), "Shifted"),
    ],
)
def test_channels_that_another_kind_of_layer_reads_are_named_or_stay(
    reader: Callable[[], nn.Module], kind: str
) -> None:
    """Its own channels can be searched: their readers multiply them by masks."""

    def network(num_classes: int) -> nn.Module:
        return Reading(num_classes, reader())

    said = f"^the 8 channels of 'first' cannot be searched: layer 'reader', which reads them, is a {kind}, not a plain"
    with pytest.raises(ValueError, match=said):
        NetworkSpace(name="reading", network=network, widths=(0.5, 1.0))
    kept = NetworkSpace(name="reading", network=network, widths=(0.5, 1.0), keep_unsearchable=True)
    assert [choice.name for choice in kept.choices] == ["reader/width", "free/width"]
    torch.manual_seed(0)
    supernet, images = kept.supernet(Skeleton(image_size=(8, 8))).double(), random_images(2, 3, 8, 8)
    for genotype in draws(kept, 4):
        with torch.no_grad():
            wanted = supernet(images, kept.selection(genotype))
            assert_close(kept.inherited(supernet, genotype)(images), wanted, **EXACT)


class Functional(nn.Module):
    """A convolution with a parameter of the network itself, or one whose weight is computed."""

    def __init__(self, num_classes: int, normed: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 1)) if normed else None
        self.kernel = nn.Parameter(torch.ones(8, 8, 1, 1))
        self.free = nn.Conv2d(8, 8, 1)
        self.last = nn.Linear(8, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        x = F.conv2d(x, self.kernel) if self.normed is None else self.normed(x)
        return self.last(self.free(torch.relu(x)).mean(dim=(2, 3)))


@pytest.mark.parametrize(
    ("normed", "said"),
    [(False, "the network itself, which reads them"), (True, "layer 'normed', which reads them, is a Parametrized")],
)
def test_channels_that_no_plain_layer_reads_are_named_or_stay(normed: bool, said: str) -> None:
    def network(num_classes: int) -> nn.Module:
        return Functional(num_classes, normed)

    with pytest.raises(ValueError, match=rf"^the 8 channels of 'first' cannot be searched: {said}.*not a plain"):
        NetworkSpace(name="functional", network=network, widths=(0.5, 1.0))
    kept = NetworkSpace(name="functional", network=network, widths=(0.5, 1.0), keep_unsearchable=True)
    names = [choice.name for choice in kept.choices]
    assert "free/width" in names
    assert "first/width" not in names


def test_a_genotype_of_another_space() -> None:
    widths, bits = made("widths"), made("bits")
    with pytest.raises(ValueError, match=r"^the genotype decides conv/width, .*, but space 'bits' has the choices"):
        bits.network(draws(widths, 1)[0], Skeleton())


def test_pretrained_weights_are_the_start(tmp_path: Any) -> None:
    plain = CifarResNet(depth=8, channels=8)
    torch.save(plain.state_dict(), tmp_path / "plain.pt")
    space = NetworkSpace(name="widths", **SMALL, **WIDTHS, init_from=str(tmp_path / "plain.pt"))
    skeleton = Skeleton(image_size=(8, 8))
    supernet = space.supernet(skeleton)
    network = space.inherited(supernet, space.homogeneous()["width 1.0"])
    assert_close(dict(network.network.state_dict()), dict(plain.state_dict()), rtol=0, atol=0)
    other = NetworkSpace(
        name="w",
        backbone="resnet20",
        backbone_arguments={"depth": 14, "channels": 8},
        **WIDTHS,
        init_from=str(tmp_path / "plain.pt"),
    )
    with pytest.raises(ValueError, match=r"does not fit the network: stages.0.1.conv1.weight is missing, and \d+ more"):
        other.supernet(skeleton)
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(ValueError, match=r"^space.init_from .*text.pt is damaged or no file of weights"):
        NetworkSpace(name="w", **SMALL, **WIDTHS, init_from=str(tmp_path / "text.pt")).supernet(skeleton)


def test_the_golden_macs_of_the_homogeneous_line() -> None:
    """Zur et al., 2019: MACs of the convolutions of ResNet-20 at some of the widths of their calibration."""
    space = NetworkSpace(name="line", backbone="resnet20", widths=(0.25, 0.3125, 0.5, 0.75, 1.0))
    model = space.cost("macs", Skeleton())
    known = {0.25: 2_633_728, 0.3125: 4_080_640, 0.5: 10_313_728, 0.75: 23_040_000, 1.0: 40_812_544}
    for width, macs in known.items():
        classifier = int(64 * width) * 10
        assert model.exact(space.homogeneous()[f"width {width}"].decisions) == macs + classifier
    assert math.isclose(model.largest()[0], 40_812_544 + 640)
    assert math.isclose(model.smallest()[0], 2_633_728 + 160)


def test_float_supernets_equal_at_every_dtype_of_the_mixture() -> None:
    space = made("widths")
    supernet = space.supernet(Skeleton(image_size=(8, 8))).double()
    images, mixture = random_images(2, 3, 8, 8), uniform(space)
    doubled = Mixture(mixture.layout, {name: table.double() for name, table in mixture.tables.items()})
    with torch.no_grad():
        assert_close(supernet(images, mixture), supernet(images, doubled), rtol=1e-6, atol=1e-6)
        assert_close(supernet(images, doubled), supernet(images, doubled), **EXACT)


def test_partitioned_filters_are_the_derived_network_where_all_have_the_same_bits() -> None:
    space = NetworkSpace(name="parted", **SMALL, **BITS, partition_filters=True)
    torch.manual_seed(0)
    supernet = space.supernet(Skeleton(image_size=(8, 8))).double()
    images = random_images(2, 3, 8, 8)
    for genotype in draws(space, 2):
        with torch.no_grad():
            wanted = supernet(images, space.selection(genotype))
            assert_close(space.inherited(supernet, genotype)(images), wanted, **EXACT)
    shared = supernet(images, uniform(space))
    shared.square().sum().backward()
    assert shared.isfinite().all()
    steps = [parameter for name, parameter in supernet.named_parameters() if name.endswith("step")]
    assert all(step.grad is not None and step.grad.isfinite() for step in steps)


def test_sizes_that_are_written_down_in_the_code_are_named() -> None:
    with pytest.raises(ValueError, match=r"^the \d+ channels of 'first.*' cannot be searched: "):
        NetworkSpace(name="fixed sizes", network=Splitting, widths=(0.5, 1.0))


def arrows(space: NetworkSpace) -> set[tuple[str, str]]:
    """The arrows of a drawing, between the first lines of its boxes; where ways meet, these are the name."""
    (graph,) = space.graphs(draws(space, 1)[0])
    named = {name: graph.labels.get(name, name).split("\n")[0] for name in (*graph.inputs, *graph.nodes, graph.output)}
    for name in graph.nodes:
        if named[name] in ("+", "concatenation"):
            sources = sorted(named[edge.source] for edge in graph.edges if edge.target == name)
            named[name] = f"({f' {named[name]} '.join(sources)})"
    return {(named[edge.source], named[edge.target]) for edge in graph.edges}


@pytest.mark.parametrize("sizes", [WIDTHS, BITS, JOINT])
def test_a_residual_network_is_drawn_with_its_shortcuts(sizes: dict[str, Any]) -> None:
    wanted, stream = {("image", "conv")}, "conv"
    for block, shortcut in (("stages/0/0", ""), ("stages/1/0", "/shortcut/0"), ("stages/2/0", "/shortcut/0")):
        first, second, beside = f"{block}/conv1", f"{block}/conv2", f"{block}{shortcut}" if shortcut else stream
        total = f"({' + '.join(sorted([second, beside]))})"
        wanted |= {(stream, first), (first, second), (second, total), (beside, total)}
        wanted |= {(stream, beside)} if shortcut else set()
        stream = total
    wanted |= {(stream, "classifier"), ("classifier", "logits")}
    assert arrows(NetworkSpace(name="drawn", **SMALL, **sizes)) == wanted


def test_concatenations_and_layers_that_are_called_twice_are_drawn() -> None:
    space = made("mine")
    joined = "(first concatenation second)"
    chain = [joined, "depthwise", "twice", "twice", "last", "logits"]
    wanted = {("image", "first"), ("first", "second"), ("first", joined), ("second", joined)}
    assert arrows(space) == wanted | set(pairwise(chain))
    (graph,) = space.graphs(draws(space, 1)[0])
    assert sum(graph.labels[name].startswith("twice") for name in graph.nodes) == 2


def test_a_drawing_says_what_is_chosen_and_what_is_fixed() -> None:
    space = NetworkSpace(name="drawn", **SMALL, **JOINT)
    (graph,) = space.graphs(space.homogeneous()[next(iter(space.homogeneous()))])
    said = {label.split("\n")[0]: label.split("\n")[1:] for label in graph.labels.values()}
    assert said["classifier"] == ["fixed: 8-bit weight, 8-bit input"]
    assert said["conv"][1:] == ["fixed: 8-bit weight, 8-bit input"]
    assert "as stages/1/0/conv2" in said["stages/1/0/shortcut/0"][0]
    assert set(graph.operations.values()) <= set(JOINT["operators"])
