"""What the latency of a convolution or linear layer depends on."""

from collections.abc import Callable
from dataclasses import dataclass

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """How a convolution moves over its input: (height, width) each."""

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)


@dataclass(frozen=True)
class LayerShape:
    """One layer with fixed sizes: `size` is (H, W) of the input of a convolution, and what stands between batch and
    features for a linear layer, which has no window."""

    in_channels: int
    out_channels: int
    size: tuple[int, ...] = ()
    window: Window | None = None
    groups: int = 1
    bias: bool = False

    @property
    def key(self) -> str:
        """Its name in a table: `conv 16x32x32 -> 32, kernel 3x3, stride 1x1, padding 1x1, dilation 1x1, groups 1`."""
        sizes = "x".join(map(str, (self.in_channels, *self.size)))
        words = [f"{'conv' if self.window else 'linear'} {sizes} -> {self.out_channels}"]
        if self.window:
            words += [f"{name} {pair[0]}x{pair[1]}" for name, pair in vars(self.window).items()]
            words += [f"groups {self.groups}"]
        return ", ".join([*words, *(["bias"] if self.bias else [])])


Seconds = Callable[[LayerShape], float]
"""How long a layer takes for a batch, such as `LatencyTable.seconds_of`."""
