"""Convolution and linear layers whose input and weight pass through modules first."""

from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor, nn

from nas.supernet.quantizer import FLOAT_BITS, quantizers_in
from nas.supernet.tally import Tally

Self = TypeVar("Self", bound="QuantizedLayer")


class QuantizedLayer(nn.Module):
    """A layer on `on_input(x)` with the weight `on_weight(weight)`: quantizers, mixtures of them, masks or nothing.

    In a supernet these modules mix (`Lent`), in a derived network they quantize. Each keeps the shape of its tensor.
    Parameters are those of the plain layer, under their names.
    """

    weight: Tensor
    on_input: nn.Module
    on_weight: nn.Module

    @property
    def weight_bits(self) -> int:
        """Bits of the weight, 32 if nothing quantizes it; a ValueError where several widths are mixed."""
        return _bits(self.on_weight)

    @property
    def input_bits(self) -> int:
        """Bits of the input, 32 if nothing quantizes it; a ValueError where several widths are mixed."""
        return _bits(self.on_input)

    def start_weight(self) -> None:
        """Starts every quantizer of the weight from the weight as it is."""
        for quantizer in quantizers_in(self.on_weight):
            quantizer.start(Tally(self.weight))

    def _take_over(self: Self, layer: nn.Module, on_input: nn.Module | None, on_weight: nn.Module | None) -> Self:
        """The very parameters of a layer of equal sizes; quantizers of the weight that have no step yet are started."""
        for name, parameter in layer.named_parameters():
            setattr(self, name, parameter)
        self.on_input = nn.Identity() if on_input is None else on_input
        self.on_weight = nn.Identity() if on_weight is None else on_weight
        if not self.weight.is_meta:
            for quantizer in quantizers_in(self.on_weight):
                if quantizer.step_size().isnan():
                    quantizer.start(Tally(self.weight))
        return self.train(layer.training)


class QuantizedConv2d(QuantizedLayer, nn.Conv2d):
    """conv2d(on_input(x), on_weight(weight), bias). Make it with `of`."""

    @classmethod
    def of(
        cls, layer: nn.Conv2d, *, on_input: nn.Module | None = None, on_weight: nn.Module | None = None
    ) -> "QuantizedConv2d":
        """A plain convolution with modules before its two operands; it shares the layer's parameters.

        Raises:
            ValueError: a layer that is not exactly an `nn.Conv2d`: what else it does would be lost.
        """
        _require_exactly(layer, nn.Conv2d)
        made = cls(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,  # type: ignore[arg-type]
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            layer.dilation,  # type: ignore[arg-type]
            layer.groups,
            layer.bias is not None,
            layer.padding_mode,
            device="meta",  # nothing is drawn: the parameters are replaced
        )
        return made._take_over(layer, on_input, on_weight)

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(self.on_input(x), self.on_weight(self.weight), self.bias)


class QuantizedLinear(QuantizedLayer, nn.Linear):
    """linear(on_input(x), on_weight(weight), bias). Make it with `of`."""

    @classmethod
    def of(
        cls, layer: nn.Linear, *, on_input: nn.Module | None = None, on_weight: nn.Module | None = None
    ) -> "QuantizedLinear":
        """A plain linear layer with modules before its two operands; it shares the layer's parameters.

        Raises:
            ValueError: a layer that is not exactly an `nn.Linear`: what else it does would be lost.
        """
        _require_exactly(layer, nn.Linear)
        made = cls(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
        return made._take_over(layer, on_input, on_weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.on_input(x), self.on_weight(self.weight), self.bias)


def _require_exactly(layer: nn.Module, plain: type[nn.Module]) -> None:
    if type(layer) is not plain:
        raise ValueError(
            f"only a plain nn.{plain.__name__} can be quantized, not a {type(layer).__name__}; leave it out"
        )


def _bits(module: nn.Module) -> int:
    found = [quantizer.bits for quantizer in quantizers_in(module)] or [FLOAT_BITS]
    if len(found) > 1:
        raise ValueError(f"bit widths {', '.join(map(str, found))} are mixed here: select one first")
    return found[0]
