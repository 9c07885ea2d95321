"""What the latency of a convolution or linear layer depends on."""

from collections.abc import Callable
from dataclasses import dataclass

Sides = tuple[int, ...]


@dataclass(frozen=True)
class Window:
    """How a convolution moves over its input: a number for each axis, as (height, width) of a two-dimensional one.

    Only a transposed one has an `output_padding`.
    """

    kernel: Sides
    stride: Sides = (1, 1)
    padding: Sides = (0, 0)
    dilation: Sides = (1, 1)
    output_padding: Sides = ()
    transposed: bool = False

    def __post_init__(self) -> None:
        assert len(self.kernel) == len(self.stride) == len(self.padding) == len(self.dilation)
        assert len(self.output_padding) == (len(self.kernel) if self.transposed else 0)


@dataclass(frozen=True)
class LayerShape:
    """One layer with fixed sizes: `size` is that of the input of a convolution, such as (H, W), and what stands between
    batch and features for a linear layer, which has no window."""

    in_channels: int
    out_channels: int
    size: tuple[int, ...] = ()
    window: Window | None = None
    groups: int = 1
    bias: bool = False

    @property
    def key(self) -> str:
        """Its name in a table: `conv 16x32x32 -> 32, kernel 3x3, stride 1x1, padding 1x1, dilation 1x1, groups 1`."""
        kind = "linear" if self.window is None else "transposed conv" if self.window.transposed else "conv"
        words = [f"{kind} {_by((self.in_channels, *self.size))} -> {self.out_channels}"]
        if self.window:
            given = {name: sides for name, sides in vars(self.window).items() if isinstance(sides, tuple) and sides}
            words += [f"{name.replace('_', ' ')} {_by(sides)}" for name, sides in given.items()]
            words += [f"groups {self.groups}"]
        return ", ".join([*words, *(["bias"] if self.bias else [])])


def _by(sides: Sides) -> str:
    return "x".join(map(str, sides))


Seconds = Callable[[LayerShape], float]
"""How long a layer takes for a batch, such as `LatencyTable.seconds_of`."""
