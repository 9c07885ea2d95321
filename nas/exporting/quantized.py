"""Quantized layers as files hold them: integer weights, and inputs rounded to a grid."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nas.exporting.operators import dequantize, fake_quantize

INTEGERS = (torch.uint8, torch.int8, torch.uint16, torch.int16, torch.int32)
FLOAT_BITS = 32


@dataclass(frozen=True)
class Grid:
    """The values step * k, for whole k from `low` to `high`; step is a 0-dim tensor."""

    step: Tensor
    low: int
    high: int

    @property
    def integers(self) -> torch.dtype:
        """The smallest type of integers that holds every k; the unsigned one of two."""
        return integers(self.low, self.high)


def integers(low: int, high: int) -> torch.dtype:
    """The first of INTEGERS that holds `low` to `high`."""
    return next(kind for kind in INTEGERS if torch.iinfo(kind).min <= low and high <= torch.iinfo(kind).max)


def grid_of(quantizer: Any) -> Grid:
    """The grid of a quantizer: v -> step * clamp(round(v / step), low, high)."""
    low, high = quantizer.levels
    return Grid(quantizer.step_size().detach().float().clone(), low, high)


def quantized_layers(network: nn.Module) -> Iterator[tuple[str, Any]]:
    """(module path, layer) of every layer that passes its input and its weight through modules."""
    for path, module in network.named_modules():
        if {"on_input", "on_weight"} <= dict(module.named_children()).keys():
            yield path, module


def bits(network: nn.Module) -> dict[str, dict[str, int]]:
    """Bits of weight and input by the path of each quantized layer; 32 is float."""
    return {
        path: {"weight_bits": layer.weight_bits, "input_bits": layer.input_bits}
        for path, layer in quantized_layers(network)
    }


def portable(network: nn.Module) -> nn.Module:
    """A copy that computes the same by `nas::fake_quantize` and `nas::dequantize`.

    Raises:
        ValueError: a layer whose quantized weights are not on the grid of its quantizer.
    """
    network = copy.deepcopy(network)
    for path, layer in quantized_layers(network):
        if layer.weight_bits < FLOAT_BITS:
            codes, grid = _codes(path, layer)
            del layer.weight
            layer.register_buffer("weight", codes)
            layer.on_weight = Dequantize(grid)
        if layer.input_bits < FLOAT_BITS:
            layer.on_input = FakeQuantize(grid_of(layer.on_input))
    return network


class FakeQuantize(nn.Module):
    """Rounds to a grid."""

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.low, self.high = grid.low, grid.high
        self.register_buffer("step", grid.step)

    def forward(self, x: Tensor) -> Tensor:
        return fake_quantize(x, self.step, self.low, self.high)


class Dequantize(nn.Module):
    """Gives integers the size of their step."""

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.register_buffer("step", grid.step)

    def forward(self, codes: Tensor) -> Tensor:
        return dequantize(codes, self.step)


def _codes(path: str, layer: Any) -> tuple[Tensor, Grid]:
    """k of every weight."""
    grid = grid_of(layer.on_weight)
    with torch.no_grad():
        values = layer.on_weight(layer.weight).float()
    codes = torch.round(values / grid.step)
    on_grid = torch.allclose(codes * grid.step, values, rtol=1e-5, atol=0)
    if not (on_grid and grid.low <= codes.min() and codes.max() <= grid.high):
        raise ValueError(
            f"the quantized weights of layer {path!r} are not its step times whole numbers from {grid.low} to "
            f"{grid.high}; a file cannot hold them as integers"
        )
    return codes.to(grid.integers), grid
