"""Quantized layers as files hold them: integer weights, and inputs rounded to a grid."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nas.exporting.operators import dequantize, fake_quantize
from nas.supernet import FLOAT_BITS, QuantizedLayer, Quantizer

INTEGERS = (torch.uint8, torch.int8, torch.uint16, torch.int16, torch.int32)


@dataclass(frozen=True)
class Grid:
    """The values step * k + offset, for whole k from `low` to `high`; step and offset are 0-dim tensors."""

    step: Tensor
    low: int
    high: int
    offset: Tensor

    def values(self, codes: Tensor) -> Tensor:
        """step * k + offset of every k."""
        return codes.to(self.step.dtype) * self.step + self.offset


def grid_of(quantizer: Quantizer) -> Grid:
    """The grid of a quantizer, x -> step * clamp(round((x - offset) / step), low, high) + offset.

    Only an input with one bit of both signs has an offset: its values are -step and step, with nothing between.
    """
    step = quantizer.step_size().detach().clone()
    if quantizer.operand == "input" and quantizer.bits == 1 and quantizer.signed:
        return Grid(2 * step, 0, 1, -step)
    return Grid(step, *quantizer.levels, torch.zeros_like(step))


def integers(low: int, high: int) -> torch.dtype:
    """The first of INTEGERS that holds `low` to `high`."""
    return next(kind for kind in INTEGERS if torch.iinfo(kind).min <= low and high <= torch.iinfo(kind).max)


def quantized_layers(network: nn.Module) -> Iterator[tuple[str, QuantizedLayer]]:
    """(module path, layer) of every layer that passes its input and its weight through modules."""
    return ((path, module) for path, module in network.named_modules() if isinstance(module, QuantizedLayer))


def quantizers(network: nn.Module) -> Iterator[tuple[str, Quantizer]]:
    """(module path, quantizer) of every quantizer."""
    return ((path, module) for path, module in network.named_modules() if isinstance(module, Quantizer))


def portable(network: nn.Module) -> nn.Module:
    """A copy that computes the same by `nas::fake_quantize` and `nas::dequantize`, with integers for quantized weights.

    Biases of quantized layers are added on their own: onnxruntime rounds one that is an operand of a convolution
    between quantizers to multiples of step of input times step of weight, which is far off for few bits. Likewise it
    rounds float weights that are convolved with what a quantizer gives to 8 bits; a clamp between them prevents that.

    Raises:
        ValueError: a layer whose quantized weights are not on the grid of its quantizer, or that mixes several.
    """
    network = copy.deepcopy(network)
    for path, layer in list(quantized_layers(network)):
        if layer.weight_bits < FLOAT_BITS:
            ((_, quantizer),) = quantizers(layer.on_weight)
            grid = grid_of(quantizer)
            codes = _codes(path, layer, grid)
            del layer.weight
            layer.register_buffer("weight", codes)
            layer.on_weight = Dequantize(grid.step)
        elif layer.input_bits < FLOAT_BITS:
            ((_, quantizer),) = quantizers(layer.on_input)
            layer.on_input = nn.Sequential(layer.on_input, Within(grid_of(quantizer)))
        if layer.bias is not None:
            network.set_submodule(path, Biased(layer))
    for path, quantizer in list(quantizers(network)):
        rounding = Signs(quantizer) if quantizer.bits == 1 and quantizer.signed else FakeQuantize(quantizer)
        network.set_submodule(path, rounding)
    return network


class FakeQuantize(nn.Module):
    """Rounds to the grid of a quantizer."""

    step: Tensor

    def __init__(self, quantizer: Quantizer) -> None:
        super().__init__()
        grid = grid_of(quantizer)
        self.low, self.high = grid.low, grid.high
        self.register_buffer("step", grid.step)

    def forward(self, x: Tensor) -> Tensor:
        return fake_quantize(x, self.step, self.low, self.high)


class Within(nn.Module):
    """Leaves the values of a grid as they are: a clamp to its ends."""

    low: Tensor
    high: Tensor

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.register_buffer("low", grid.values(torch.tensor(grid.low)))
        self.register_buffer("high", grid.values(torch.tensor(grid.high)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.clamp(x, self.low, self.high)


class Signs(nn.Module):
    """Rounds to the two levels of one bit of both signs."""

    step: Tensor
    offset: Tensor

    def __init__(self, quantizer: Quantizer) -> None:
        super().__init__()
        grid = grid_of(quantizer)
        self.register_buffer("step", grid.step)
        self.register_buffer("offset", grid.offset)

    def forward(self, x: Tensor) -> Tensor:
        return fake_quantize(x - self.offset, self.step, 0, 1) + self.offset


class Dequantize(nn.Module):
    """Gives integers the size of their step."""

    step: Tensor

    def __init__(self, step: Tensor) -> None:
        super().__init__()
        self.register_buffer("step", step)

    def forward(self, codes: Tensor) -> Tensor:
        return dequantize(codes, self.step)


class Biased(nn.Module):
    """A layer and then its bias."""

    def __init__(self, layer: QuantizedLayer) -> None:
        super().__init__()
        bias = layer.get_parameter("bias")
        self.bias = nn.Parameter(bias.reshape(-1, 1, 1) if isinstance(layer, nn.Conv2d) else bias)
        self.layer = layer
        self.layer.register_parameter("bias", None)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.bias


def _codes(path: str, layer: QuantizedLayer, grid: Grid) -> Tensor:
    """k of every weight."""
    with torch.no_grad():
        values = layer.on_weight(layer.weight)
    codes = torch.round(values / grid.step)
    on_grid = torch.allclose(codes * grid.step, values, rtol=1e-5, atol=0)
    if not (on_grid and grid.low <= codes.min() and codes.max() <= grid.high):
        raise ValueError(
            f"the quantized weights of layer {path!r} are not its step times whole numbers from {grid.low} to "
            f"{grid.high}; a file cannot hold them as integers"
        )
    return codes.to(integers(grid.low, grid.high))
