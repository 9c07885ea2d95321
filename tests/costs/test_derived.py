"""What a cost model says of a genotype is what counting its network says."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from nas.architecture import Choice
from nas.costs import (
    ChannelParameters,
    Conditions,
    CostModel,
    LayerShape,
    Quantity,
    SearchedLayer,
    Window,
    bops,
    count,
    latency,
    latency_table,
    macs,
    memory,
    params,
)
from tests.costs.test_bops import QuantizedConv

WIDTHS = {"stem/width": (2, 5), "block/width": (3, 4)}
BITS = {"block/weight_bits": (3, 32), "block/input_bits": (1, 4)}
CHOICES = {name: Choice(name, candidates) for name, candidates in {**WIDTHS, **BITS}.items()}


class Derived(nn.Module):
    """Stem, depthwise convolution, quantized convolution, classifier of the flattened concatenation of all that."""

    def __init__(self, stem: int, block: int, weight_bits: int, input_bits: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, stem, 3, padding=1), nn.BatchNorm2d(stem), nn.ReLU())
        self.depthwise = nn.Conv2d(stem, stem, 5, stride=2, padding=2, groups=stem, bias=False)
        bits = {"weight_bits": weight_bits, "input_bits": input_bits}
        self.block = nn.Sequential(QuantizedConv(stem, block, 3, padding=1, bias=False, **bits), nn.BatchNorm2d(block))
        self.head = nn.Linear((stem + block) * 12, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.depthwise(self.stem(x))
        return self.head(torch.cat([x, self.block(x)], dim=1).flatten(1))


def layers() -> tuple[list[SearchedLayer], list[ChannelParameters]]:
    """The same as a search space would describe it, for images of 8x6."""
    stem, block = (Quantity(0, {name: values}) for name, values in WIDTHS.items())
    weight_bits, input_bits = (Quantity(0, {name: values}) for name, values in BITS.items())
    three = Window((3, 3), padding=(1, 1))
    five = Window((5, 5), (2, 2), (2, 2))
    described = [
        SearchedLayer("stem.0", 9, 48, Quantity(3), stem, bias=True, window=three, size=(8, 6)),
        SearchedLayer("depthwise", 25, 12, stem, stem, depthwise=True, window=five, size=(8, 6)),
        SearchedLayer(
            "block.0", 9, 12, stem, block, weight_bits=weight_bits, input_bits=input_bits, window=three, size=(4, 3)
        ),
        SearchedLayer("head", 1, 1, (stem + block).times(12), Quantity(7), bias=True),
    ]
    return described, [ChannelParameters(stem, 2), ChannelParameters(block, 2)]


@pytest.mark.parametrize("decided", list(itertools.product(*WIDTHS.values(), *BITS.values())))
def test_every_genotype_costs_what_its_network_is_counted_at(decided: tuple[int, ...]) -> None:
    described, others = layers()
    decisions = dict(zip(CHOICES, decided, strict=True))
    found = count(Derived(*decided), (3, 8, 6))
    models: dict[str, CostModel] = {
        "params": params(CHOICES, described, others),
        "macs": macs(CHOICES, described),
        "bops": bops(CHOICES, described),
    }
    for name, model in models.items():
        assert model.exact(decisions) == getattr(found, name), name
    assert math.ceil(memory(CHOICES, described, others).exact(decisions)) == found.memory_bytes


def test_latencies_are_asked_for_the_layers_that_run() -> None:
    described, _ = layers()
    asked: list[LayerShape] = []
    latency(CHOICES, described, lambda shape: float(len(asked.append(shape) or asked)))
    table = latency_table(asked, Conditions("made up", "2.6", 1, 1), lambda shape: 1.0)
    ran: set[str] = set()

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], _: object) -> None:
        """The key of a layer by what it is and by what it is given."""
        (x,) = inputs
        if isinstance(layer, nn.Linear):
            ran.add(LayerShape(layer.in_features, layer.out_features, bias=True).key)
        elif isinstance(layer, nn.Conv2d):
            window = Window(layer.kernel_size, layer.stride, layer.padding, layer.dilation)
            sizes = x.shape[1], layer.out_channels, tuple(x.shape[2:])
            ran.add(LayerShape(*sizes, window, layer.groups, layer.bias is not None).key)

    for decided in itertools.product(*WIDTHS.values()):
        network = Derived(*decided, 3, 4)
        for layer in network.modules():
            layer.register_forward_hook(note)
        network.eval()(torch.zeros(1, 3, 8, 6))
    assert ran == set(table.seconds) == {shape.key for shape in asked}
    assert latency(CHOICES, described, table.seconds_of).smallest()[0] == 4.0
