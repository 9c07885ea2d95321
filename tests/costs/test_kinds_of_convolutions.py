"""What transposed, one-dimensional and three-dimensional convolutions cost: by hand, counted, and as they are timed."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.costs import LatencyTable, LayerShape, Window, count, timed
from nas.costs.timing import Conditions
from nas.space import Skeleton
from search_spaces.networks import NetworkSpace

BITS = 32
IMAGE = Skeleton(in_channels=1, image_size=(8, 4))


class One(nn.Module):
    """A convolution of the image, a layer of any kind that reads what `shape` makes of it, and a linear layer."""

    def __init__(self, layer: nn.Module, shape: tuple[int, ...], num_classes: int = 10) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 1, bias=False)
        self.layer = layer
        self.last = nn.Linear(layer.out_channels, num_classes, bias=False)  # type: ignore[arg-type]
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(self.first(x).reshape(len(x), *self.shape))
        return self.last(y.flatten(2).mean(2))


KINDS: list[tuple[Any, tuple[int, ...], int, int, str]] = [
    # layer, its input, products and outputs by hand, its key
    (
        lambda: nn.ConvTranspose2d(8, 6, 3, stride=2, padding=1, output_padding=1, bias=False),
        (8, 8, 4),
        8 * 6 * 9 * (8 * 4),
        6 * (16 * 8),
        "transposed conv 8x8x4 -> 6, kernel 3x3, stride 2x2, padding 1x1, dilation 1x1, output padding 1x1, groups 1",
    ),
    (
        lambda: nn.ConvTranspose2d(8, 6, (5, 3), stride=(2, 1), dilation=(1, 2), groups=2),
        (8, 8, 4),
        8 * 3 * 15 * (8 * 4),
        6 * (19 * 8),
        "transposed conv 8x8x4 -> 6, kernel 5x3, stride 2x1, padding 0x0, dilation 1x2, output padding 0x0, groups 2, "
        "bias",
    ),
    (
        lambda: nn.Conv1d(8, 6, 5, stride=2, padding=2),
        (8, 32),
        8 * 6 * 5 * 16,
        6 * 16,
        "conv 8x32 -> 6, kernel 5, stride 2, padding 2, dilation 1, groups 1, bias",
    ),
    (
        lambda: nn.ConvTranspose1d(8, 8, 3, stride=2, groups=8, bias=False),
        (8, 32),
        8 * 3 * 32,
        8 * 65,
        "transposed conv 8x32 -> 8, kernel 3, stride 2, padding 0, dilation 1, output padding 0, groups 8",
    ),
    (
        lambda: nn.Conv3d(4, 6, (1, 3, 3), padding=(0, 1, 1), groups=2),
        (4, 2, 8, 4),
        2 * 6 * 9 * (2 * 8 * 4),
        6 * (2 * 8 * 4),
        "conv 4x2x8x4 -> 6, kernel 1x3x3, stride 1x1x1, padding 0x1x1, dilation 1x1x1, groups 2, bias",
    ),
    (
        lambda: nn.ConvTranspose3d(4, 2, 2, stride=2),
        (4, 2, 8, 4),
        4 * 2 * 8 * (2 * 8 * 4),
        2 * (4 * 16 * 8),
        "transposed conv 4x2x8x4 -> 2, kernel 2x2x2, stride 2x2x2, padding 0x0x0, dilation 1x1x1, "
        "output padding 0x0x0, groups 1, bias",
    ),
]


def searched(make: Any, shape: tuple[int, ...]) -> NetworkSpace:
    """The bits of its plain layers."""
    return NetworkSpace(
        name="own",
        network=lambda: One(make(), shape),
        weight_bits=(4, BITS),
        keep_unsearchable=True,
        input_shape=IMAGE.image_shape,
    )


def asked(space: NetworkSpace) -> list[LayerShape]:
    """The layers whose seconds its latency is made of."""
    found: list[LayerShape] = []

    def note(shape: LayerShape) -> float:
        found.append(shape)
        return 1.0

    space.cost("latency", IMAGE, note)
    return found


def bops_by_hand(products: int, outputs: int) -> int:
    """In floats of 32 bits: 31 * 32 for a product, and additions as wide as the largest sum of the mean output."""
    largest = math.ceil(products / outputs) * (2**31 - 1) * (2**32 - 1)
    width = next(bits for bits in range(200) if 2**bits >= largest)
    return 31 * 32 * products + (products - outputs) * width


@pytest.mark.parametrize(("make", "shape", "products", "outputs", "key"), KINDS, ids=lambda value: str(value)[:26])
def test_every_kind_costs_what_it_is(make: Any, shape: tuple[int, ...], products: int, outputs: int, key: str) -> None:
    space = searched(make, shape)
    decisions = {choice.name: BITS for choice in space.choices}
    layer = make()
    counted = count(One(layer, shape), (1, 8, 4))
    parameters = sum(parameter.numel() for parameter in layer.parameters()) + 8 + 10 * layer.out_channels
    macs = products + 8 * 32 + 10 * layer.out_channels
    bops = bops_by_hand(products, outputs) + bops_by_hand(8 * 32, 8 * 32) + bops_by_hand(10 * layer.out_channels, 10)
    assert (counted.params, counted.macs, counted.bops) == (parameters, macs, bops)
    for kind, wanted in (("params", parameters), ("macs", macs), ("bops", bops)):
        assert space.cost(kind, IMAGE).exact(decisions) == wanted, kind
    assert [shape.key for shape in asked(space)] == [
        "conv 1x8x4 -> 8, kernel 1x1, stride 1x1, padding 0x0, dilation 1x1, groups 1",
        key,
        f"linear {layer.out_channels} -> 10",
    ]


@pytest.mark.parametrize(("make", "shape"), [kind[:2] for kind in KINDS], ids=lambda value: str(value)[:26])
def test_every_kind_is_timed_as_itself(make: Any, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """The layer that is timed has the settings of the one in the network, and gets what that one gets."""
    timers: list[dict[str, Any]] = []

    class Timer:
        def __init__(self, _: str, *, globals: dict[str, Any], num_threads: int) -> None:
            timers.append(globals)

        def blocked_autorange(self, **_: float) -> Any:
            return type("Measurement", (), {"median": 1.0})

    monkeypatch.setattr("torch.utils.benchmark.Timer", Timer)
    timed(asked(searched(make, shape))[1], torch.device("cpu"), 3)
    layer = make()
    assert repr(timers[0]["layer"]) == repr(layer)
    assert timers[0]["x"].shape == (3, *shape)
    assert timers[0]["layer"](timers[0]["x"]).shape == layer(torch.zeros(3, *shape)).shape


def test_a_table_that_took_transposed_convolutions_for_others_lacks_them() -> None:
    """Before they had a name of their own; what it says of plain ones stays true."""
    window = {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1)}
    plain = LayerShape(8, 6, (4, 4), Window(**window))
    old = LatencyTable(
        Conditions("Some CPU", "2.6.0", 2, 16),
        {"conv 8x4x4 -> 6, kernel 3x3, stride 2x2, padding 1x1, dilation 1x1, groups 1": 1.0},
    )
    assert LatencyTable.from_json(old.to_json()).seconds_of(plain) == 1.0
    transposed = LayerShape(8, 6, (4, 4), Window(**window, output_padding=(0, 0), transposed=True))
    with pytest.raises(ValueError, match=r"lacks 'transposed conv 8x4x4 -> 6, kernel 3x3, .*: measure it there"):
        old.seconds_of(transposed)
