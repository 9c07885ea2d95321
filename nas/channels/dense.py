"""Rules for convolutions and linear layers, which read channels and write others."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nas.channels.channelwise import everything
from nas.channels.labels import Call, Kind, Line, Lines, Operand

UNKNOWN = "reads it after an operation that mixes channels"
"""Why channels stay that a layer reads where nothing is known of its input."""


@dataclass(frozen=True)
class Pass:
    """A layer that has run: the fields of a `Layer`, and elements where it has channels."""

    source: str
    reads: Tensor
    writes: Tensor
    sizes: dict[str, Any]


def convolution(call: Call, passes: list[Pass], depthwise: Collection[str]) -> list[Lines]:
    """A convolution, in any number of dimensions, transposed or not.

    A dense one reads and writes channels that need not agree. A depthwise one writes those that it reads. Any other
    grouped one needs all of its channels, since its groups must stay equally large. With one channel it is dense,
    unless the path of its module is among `depthwise`.
    """
    x, weight = call.named["input"], call.named["weight"]
    size_in, size_out = x.tensor.shape[1], call.outputs[0].shape[1]
    one_each = call.arguments["groups"] == size_in and (size_in > 1 or owner(_source(weight)) in depthwise)
    # A transposed one that copies channels counts as any other grouped one.
    is_depthwise = one_each and (not call.arguments["transposed"] or size_out == size_in)
    reads, writes = _sides(call, x, weight, is_depthwise)
    for line in (x.lines[0], *x.lines[2:]):
        call.fix(line)
    if "bias" in call.named:
        call.join([writes, call.named["bias"].lines[0]])
    sizes = {**_sizes(call, x.tensor, tuple(weight.tensor.shape[2:])), "depthwise": is_depthwise}
    passes.append(Pass(_source(weight), reads, writes, sizes))
    return [(None, writes, *[None] * (x.tensor.dim() - 2))]


def linear(call: Call, passes: list[Pass]) -> list[Lines]:
    """(rows, features) @ (features, outputs), where the second one is a weight; each row is a position."""
    *added, x, weight = call.operands
    if weight.labels.kind is not Kind.WEIGHT or x.labels.kind is Kind.WEIGHT:
        return everything(call)
    name = owner(_source(weight)) or _source(weight)
    (rows, size_in), size_out = x.tensor.shape, weight.tensor.shape[1]
    call.fix(x.lines[0], f"linear layer {name!r} runs once for each of its channels")
    reads = call.join([x.lines[1], weight.lines[0]], f"linear layer {name!r} {UNKNOWN}")
    reads, writes = call.known(reads, size_in), call.known(weight.lines[1], size_out)
    for bias in added:
        call.join([writes, bias.lines[-1]])
    sizes = {
        "kind": "linear",
        "groups": 1,
        "kernel": 1,
        "positions": rows,
        "outputs": rows,
        "bias": bool(added),
        "depthwise": False,
        "input_shape": (size_in,) if rows == 1 else (rows, size_in),
        "signature": {},
    }
    passes.append(Pass(_source(weight), reads, writes, sizes))
    return [(None, writes)]


def owner(parameter: str) -> str:
    """The path of the module that uses a parameter, which is not that of its parametrization."""
    return parameter.rpartition(".")[0].split(".parametrizations")[0]


def _sides(call: Call, x: Operand, weight: Operand, is_depthwise: bool) -> tuple[Tensor, Tensor]:
    """The channels that a convolution reads, and those that it writes."""
    groups, transposed = call.arguments["groups"], call.arguments["transposed"]
    size_in, size_out = x.tensor.shape[1], call.outputs[0].shape[1]
    name = owner(_source(weight)) or _source(weight)
    reads: Line = x.lines[1]
    writes: Line = None
    if not name:
        call.fix(reads, "a convolution whose weight is no parameter reads it")
    elif is_depthwise:
        writes, copies = weight.lines[0], size_out // size_in
        call.join(
            [writes, None if reads is None else reads.repeat_interleave(copies)], f"convolution {name!r} {UNKNOWN}"
        )
        reads = writes[::copies] if reads is None and writes is not None else reads
    elif groups == 1:
        read, writes = weight.lines[:2] if transposed else (weight.lines[1], weight.lines[0])
        reads = call.join([reads, read], f"convolution {name!r} {UNKNOWN}")
    else:
        call.fix(reads, f"grouped convolution {name!r} reads it")
        call.fix(weight.lines[0], f"grouped convolution {name!r} writes it")
        writes = None if transposed else weight.lines[0]
    return call.known(reads, size_in), call.known(writes, size_out)


def _sizes(call: Call, x: Tensor, kernel_size: tuple[int, ...]) -> dict[str, Any]:
    groups, transposed, y = call.arguments["groups"], call.arguments["transposed"], call.outputs[0]
    return {
        "kind": "conv",
        "groups": groups,
        "kernel": math.prod(kernel_size),
        "positions": math.prod((x if transposed else y).shape[2:]),
        "bias": "bias" in call.named,
        "outputs": math.prod(y.shape[2:]),
        "input_shape": tuple(x.shape[1:]),
        "signature": {
            "kernel_size": kernel_size,
            **{key: _on_axes(call.arguments[key], kernel_size) for key in ("stride", "padding", "dilation")},
            "output_padding": _on_axes(call.arguments["output_padding"], kernel_size) if transposed else (),
            "transposed": (int(transposed),),
        },
    }


def _on_axes(given: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    """A number for each axis, of one for all or one for each."""
    return tuple(given) * (len(axes) // len(given))


def _source(weight: Operand) -> str:
    """The parameter that a weight was computed from, "" if there is none."""
    return next(iter(weight.labels.sources), "") if weight.labels.kind is Kind.WEIGHT else ""
