"""The two operations of a quantized layer, as single nodes of a traced network: each format writes them in its way."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node


@torch.library.custom_op("nas::fake_quantize", mutates_args=())
def fake_quantize(x: Tensor, step: Tensor, low: int, high: int) -> Tensor:
    """step * clamp(round(x / step), low, high), rounding halves to even."""
    return _fake_quantize(x, step, low, high)


@torch.library.custom_op("nas::dequantize", mutates_args=())
def dequantize(codes: Tensor, step: Tensor) -> Tensor:
    """step * codes, of integer codes, in the type of the step."""
    return _dequantize(codes, step)


@fake_quantize.register_fake
def _(x: Tensor, step: Tensor, low: int, high: int) -> Tensor:
    return torch.empty_like(x)


@dequantize.register_fake
def _(codes: Tensor, step: Tensor) -> Tensor:
    return torch.empty_like(codes, dtype=step.dtype)


def _fake_quantize(x: Tensor, step: Tensor, low: int, high: int) -> Tensor:
    return torch.clamp(torch.round(x / step), low, high) * step


def _dequantize(codes: Tensor, step: Tensor) -> Tensor:
    return codes.to(step.dtype) * step


DECOMPOSITIONS: dict[Any, Callable[..., Tensor]] = {
    torch.ops.nas.fake_quantize.default: _fake_quantize,
    torch.ops.nas.dequantize.default: _dequantize,
}
"""Both in PyTorch's own operations, for a file that has to be read without this package."""


def rounding_places(graph: Graph) -> list[tuple[Node, Node]]:
    """Where a graph of PyTorch's own operations rounds, as they do it: the whole numbers, and what is rounded."""
    aten = torch.ops.aten
    places = []
    for node in graph.find_nodes(op="call_function", target=aten.round.default):
        (division,) = node.all_input_nodes
        clamps = [user for user in node.users if user.target is aten.clamp.default]
        if division.target is aten.div.Tensor and clamps:
            places.append((clamps[0], division.all_input_nodes[0]))
    return places
