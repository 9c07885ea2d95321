"""What every quantizer does."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import reduce
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from nas.supernet.tally import Tally

FLOAT_BITS = 32
"""As many bits as a number has that is not quantized."""

Operand = Literal["weight", "input"]
"""Which of the two tensors that a layer multiplies is quantized."""

Self = TypeVar("Self", bound="Quantizer")


class Quantizer(nn.Module, ABC):
    """Rounds a tensor to `bits` bits: y = step * n, n a whole number from `levels`, in the shape and precision of x.

    `operand` says whose numbers they are, a layer's `weight` or its `input`, (N, ...). Weights are signed; inputs are
    if `start` has seen a number below zero, and before it unless they have one bit. What `start` sets lives in
    parameters and buffers, so that a state dict carries it. A quantizer of a weight gives NaN before its start.

    Raises:
        ValueError: bits outside 1..31 (32 bits are float: no quantizer), or an unknown operand.
    """

    bounds: Tensor

    def __init__(self, bits: int, operand: Operand) -> None:
        super().__init__()
        if type(bits) is not int or not 1 <= bits < FLOAT_BITS:
            raise ValueError(
                f"a quantizer rounds to 1 to {FLOAT_BITS - 1} bits, and {FLOAT_BITS} are float; not {bits!r}"
            )
        if operand not in ("weight", "input"):
            raise ValueError(f"a quantizer is one of a 'weight' or of an 'input'; not of {operand!r}")
        self.bits = bits
        self.operand = operand
        self.register_buffer("bounds", torch.tensor(self.integers(signed=operand == "weight" or bits > 1)))

    @abstractmethod
    def integers(self, *, signed: bool) -> tuple[int, int]:
        """The lowest and the highest whole number of this many bits; a ValueError if there are none but 0."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """x, rounded."""

    @abstractmethod
    def step_size(self) -> Tensor:
        """The unit that levels are multiples of, 0-dim and above zero."""

    @abstractmethod
    def start(self, seen: Tally) -> None:
        """Sets step size and signedness for numbers like those that were seen."""

    @property
    def levels(self) -> tuple[int, int]:
        """The lowest and the highest whole number that values are multiples of the step size by."""
        low, high = self.bounds.tolist()
        return low, high

    @property
    def signed(self) -> bool:
        """Whether there are levels below zero."""
        return self.levels[0] < 0

    @classmethod
    def weighted_sum(cls: type[Self], quantizers: Sequence[Self], x: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """sum_k weights[k] * quantizers[k](x), weights 0-dim; a class that needs less memory for it writes its own."""
        return reduce(torch.add, [weight * each(x) for weight, each in zip(weights, quantizers, strict=True)])

    def extra_repr(self) -> str:
        return f"bits={self.bits}, operand={self.operand}"

    def set_signed(self, seen: Tally) -> None:
        """A weight stays signed, whatever its numbers are; an input is if one of them is below zero."""
        if self.operand == "input":
            self.bounds.copy_(torch.tensor(self.integers(signed=bool(seen.lowest < 0))))


def quantizers_in(module: nn.Module) -> list[Quantizer]:
    """All quantizers in a module, itself among them."""
    return [part for part in module.modules() if isinstance(part, Quantizer)]
