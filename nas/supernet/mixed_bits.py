"""A mixture of bit widths."""

from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from nas.architecture import Candidate
from nas.supernet.mixed import MixedModule
from nas.supernet.quantizer import FLOAT_BITS, Quantizer


def bit_widths(bits: Sequence[int], where: str) -> tuple[int, ...]:
    """The bit widths to choose from, as they are; `where` names the choice.

    Raises:
        ValueError: none, one twice, or one that is no whole number from 1 to 32.
    """
    if not bits:
        raise ValueError(f"{where} has no bit widths: give at least one from 1 to {FLOAT_BITS}, such as 4")
    for width in bits:
        if type(width) is not int or not 1 <= width <= FLOAT_BITS:
            raise ValueError(f"a bit width of {where} is {width!r}: give whole numbers from 1 to {FLOAT_BITS} (float)")
    if len(set(bits)) != len(bits):
        raise ValueError(f"the bit widths of {where} are {tuple(bits)}: give each once")
    return tuple(bits)


class MixedBits(MixedModule):
    """y = sum_b w_b * Q_b(v), v rounded to each bit width by a quantizer of its own; Q_32(v) = v.

    `quantizer(bits)` makes one, all of one class: MixedBits((2, 4, 8, 32), lambda bits: LSQ(bits, "weight")). What
    mixes is the tensor, before the one convolution that reads it.

    Raises:
        ValueError: no bit widths, one twice, one outside 1..32, or quantizers of several classes.
    """

    kind = "bits"

    def __init__(self, bits: Sequence[int], quantizer: Callable[[int], Quantizer]) -> None:
        super().__init__()
        self._bits = bit_widths(bits, "a mixture of bits")
        rounded = {width: quantizer(width) for width in self._bits if width != FLOAT_BITS}
        classes = {type(each) for each in rounded.values()}
        if len(classes) > 1:
            names = ", ".join(sorted(each.__name__ for each in classes))
            raise ValueError(f"a mixture of bits has quantizers of several classes, {names}: give one class")
        self.quantizers = nn.ModuleList(rounded.get(width, nn.Identity()) for width in self._bits)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return self._bits

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        quantizers, shares, parts = [], [], []
        for each, weight in zip(self.quantizers, weights, strict=True):
            if isinstance(each, Quantizer):
                quantizers.append(each)
                shares.append(weight)
            else:
                parts.append(weight * x)
        if quantizers:
            parts.append(type(quantizers[0]).weighted_sum(quantizers, x, shares))
        return reduce(torch.add, parts)

    def select(self, candidate: Candidate) -> nn.Module:
        return self.quantizers[self.candidates.index(candidate)]
