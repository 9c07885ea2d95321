"""The quantizers of a network's layers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from torch import nn

from nas.architecture import Candidate
from nas.supernet import (
    FLOAT_BITS,
    LSQ,
    NICE,
    Lent,
    MixedBits,
    PartitionedBits,
    QuantizedConv2d,
    QuantizedLinear,
    Quantizer,
)
from search_spaces.networks.places import SizedLayer, choice_name

Decisions = Mapping[str, Candidate]
OfInputAndWeight = tuple[nn.Module | None, nn.Module | None]
"""The quantizers of a layer's two operands; None for what is float."""


@dataclass(frozen=True)
class Quantization:
    """Makes the quantizers of a layer: `weight` and `input` make one from its bits.

    A supernet mixes them, or with `partitioned` shares them out among the filters of a layer.
    """

    weight: Callable[[int], Quantizer]
    input: Callable[[int], Quantizer]
    partitioned: bool = False

    def mixed(self, layer: SizedLayer) -> tuple[list[nn.Module], list[nn.Module]]:
        """Those of the input and of the weight in a supernet; none for what is float and no choice."""
        return (
            self._mixed(self.input, layer.input_bits, choice_name(layer.place, "input_bits"), axis=1),
            self._mixed(self.weight, layer.weight_bits, choice_name(layer.place, "weight_bits"), axis=0),
        )

    def fresh(self, layer: SizedLayer, decisions: Decisions) -> OfInputAndWeight:
        """Those in a network with these decisions."""
        bits = bits_of(layer, decisions)
        made = [None if b == FLOAT_BITS else make(b) for b, make in zip(bits, (self.input, self.weight), strict=True)]
        return made[0], made[1]

    def _mixed(
        self, make: Callable[[int], Quantizer], bits: tuple[int, ...], choice: str, *, axis: int
    ) -> list[nn.Module]:
        if len(bits) == 1:
            return [] if bits == (FLOAT_BITS,) else [make(bits[0])]
        return [Lent(PartitionedBits(bits, make, axis) if self.partitioned else MixedBits(bits, make), choice)]


MakeQuantizer = Callable[..., Quantizer]
"""Makes a quantizer of `bits` bits for an `operand`, `weight` or `input`: a class, usually."""

QUANTIZERS: Mapping[str, MakeQuantizer] = {"lsq": LSQ, "nice": NICE}


def quantization(given: str | MakeQuantizer, *, partitioned: bool) -> Quantization:
    """The quantizers of a name, or those that a class of the user makes; a ValueError for an unknown name."""
    if isinstance(given, str) and given not in QUANTIZERS:
        raise ValueError(f"space.quantizer is {given!r}; give {' or '.join(QUANTIZERS)}, or a class of your own")
    make = QUANTIZERS[given] if isinstance(given, str) else given
    return Quantization(partial(make, operand="weight"), partial(make, operand="input"), partitioned)


def bits_of(layer: SizedLayer, decisions: Decisions) -> tuple[int, int]:
    """(input bits, weight bits) of a layer in a network with these decisions."""
    chosen = (
        decisions.get(choice_name(layer.place, kind), candidates[0])
        for kind, candidates in (("input_bits", layer.input_bits), ("weight_bits", layer.weight_bits))
    )
    input_bits, weight_bits = (int(bits) for bits in chosen)
    return input_bits, weight_bits


def with_quantizers(layer: nn.Module, on_input: nn.Module | None, on_weight: nn.Module | None) -> nn.Module:
    """The layer with modules before its operands, or as it is without any."""
    if on_input is None and on_weight is None:
        return layer
    kind = QuantizedConv2d if isinstance(layer, nn.Conv2d) else QuantizedLinear
    return kind.of(layer, on_input=on_input, on_weight=on_weight)  # type: ignore[arg-type]


def selected(chain: nn.Module, bits: int) -> nn.Module | None:
    """The quantizer of so many bits among the modules before an operand of a supernet's layer; None if it is float."""
    for module in chain.modules():
        if isinstance(module, MixedBits):
            found = module.select(bits)
            return found if isinstance(found, Quantizer) else None
        if isinstance(module, Quantizer):
            return module
    return None
