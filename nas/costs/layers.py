"""The layers of a searched network, as far as costs know them."""

from dataclasses import dataclass

from nas.architecture import Candidate
from nas.costs.quantity import Quantity
from nas.costs.shapes import LayerShape, Window

FLOAT = Quantity(32)
"""The bits of a number that nothing quantizes."""


@dataclass(frozen=True)
class SearchedLayer:
    """A convolution or linear layer whose numbers of channels, weight bits and input bits may be searched.

    `kernel` is the number of kernel elements, `positions` that of output pixels for one image, 1 and 1 for a linear
    layer on features; a transposed convolution has its input pixels as `positions`, and `outputs` besides. `reads` and
    `writes` are all its input and output channels; `groups` stays as it is, but a `depthwise` layer has as many as it
    reads channels. `present` is the (choice, candidate) under which the layer exists. `window` and `size` are what its
    latency depends on besides, as in `LayerShape`.
    """

    name: str
    kernel: int
    positions: int
    reads: Quantity
    writes: Quantity
    groups: int = 1
    depthwise: bool = False
    bias: bool = False
    weight_bits: Quantity = FLOAT
    input_bits: Quantity = FLOAT
    present: tuple[str, Candidate] | None = None
    window: Window | None = None
    size: tuple[int, ...] = ()
    outputs: int | None = None

    @property
    def inputs(self) -> Quantity:
        """The channels that each filter reads."""
        return Quantity(1) if self.depthwise else self.reads.divided(self.groups)

    def shape(self, reads: float, writes: float) -> LayerShape:
        """The layer with these numbers of channels, as a latency is measured."""
        groups = int(reads) if self.depthwise else self.groups
        return LayerShape(int(reads), int(writes), self.size, self.window, groups, self.bias)


@dataclass(frozen=True)
class ChannelParameters:
    """Parameters that are no weight or bias of a searched layer: `each` numbers for each of `channels`.

    A batch norm has 2 for each; what never changes is `each` numbers of Quantity(1).
    """

    channels: Quantity
    each: float = 1
    present: tuple[str, Candidate] | None = None
