"""Rules for operations that move numbers about: views, permutations, cuts, concatenations, padding."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nas.channels.labels import Call, Line, Lines


def reshaped(call: Call) -> list[Lines]:
    """The same numbers in the same order, in another shape."""
    return _moved(call, lambda spread: [spread.reshape(call.outputs[0].shape)])


def moved(call: Call) -> list[Lines]:
    """Numbers copied or turned about, whatever their values."""
    return _moved(call, lambda spread: _listed(call.apply(spread)))


def permuted(call: Call) -> list[Lines]:
    """Axes in another order, which shows on a tensor whose sizes all differ."""
    lines = call.operands[0].lines
    order = call.apply(torch.empty(tuple(range(2, len(lines) + 2)))).shape
    return [tuple(lines[size - 2] for size in order)]


def cut(call: Call) -> list[Lines]:
    """A part of an axis, or all its parts.

    Cut at multiples of some size, channels a multiple of it apart are removed together, so that all parts stay as
    large as each other. Channels cut in any other way must stay, and those of which each is a part.
    """
    x, arguments = call.operands[0], call.arguments
    axis = arguments["dim"] % x.tensor.dim()
    line, size = x.lines[axis], x.tensor.shape[axis]
    if line is not None:
        start, parts = _parts(call, size)
        period = math.gcd(size, start, *parts)
        if period == 1 or arguments.get("step", 1) != 1:
            call.fix(line, f"operation {call.name} takes a part of it")
        if period > 1 or max(parts) == 1:
            call.unions.tie(line, period)
    return moved(call)


def shuffled(call: Call) -> list[Lines]:
    """Channel shuffle (ShuffleNet, Zhang et al., 2018): (groups, n) channels in the order (n, groups)."""
    before, line, *after = call.operands[0].lines
    if line is None:
        return [call.operands[0].lines]
    period = len(line) // call.arguments["groups"]
    call.unions.tie(line, period)
    return [(before, line.view(-1, period).t().flatten(), *after)]


def concatenated(call: Call) -> list[Lines]:
    """Tensors one after the other along an axis; (0,) tensors don't count."""
    operands = [operand for operand in call.operands if operand.tensor.dim() == call.outputs[0].dim()]
    along = call.arguments["dim"] % call.outputs[0].dim()
    lines: list[Line] = [
        None if axis == along else call.join([operand.lines[axis] for operand in operands])
        for axis in range(call.outputs[0].dim())
    ]
    parts = [operand.lines[along] for operand in operands]
    if any(part is not None for part in parts):
        sizes = [operand.tensor.shape[along] for operand in operands]
        lines[along] = torch.cat([call.known(part, size) for part, size in zip(parts, sizes, strict=True)])
    return [tuple(lines)]


def stacked(call: Call) -> list[Lines]:
    """Tensors along a new axis."""
    lines = [call.join(together) for together in zip(*(operand.lines for operand in call.operands), strict=True)]
    lines.insert(call.arguments["dim"] % call.outputs[0].dim(), None)
    return [tuple(lines)]


def padded(call: Call) -> list[Lines]:
    """Constants before and after some axes; a negative number of them cuts."""
    x, pad = call.operands[0], call.arguments["pad"]
    lines = list(x.lines)
    for index in range(len(pad) // 2):
        axis = x.tensor.dim() - 1 - index
        line, (before, after) = lines[axis], pad[2 * index : 2 * index + 2]
        if line is not None and (before or after):
            if min(before, after) < 0:
                call.fix(line)
            line = line[max(-before, 0) : len(line) - max(-after, 0)]
            sides = (call.known(None, max(side, 0), f"operation {call.name} adds it") for side in (before, after))
            lines[axis] = torch.cat([next(sides), line, next(sides)])
    return [tuple(lines)]


def _parts(call: Call, size: int) -> tuple[int, Sequence[int]]:
    """Where the first part of an axis starts, and the sizes of all parts, without a last one that is smaller; (1, size)
    where single positions are picked."""
    match call.name:
        case "aten.slice":
            start, end = call.arguments["start"] or 0, call.arguments["end"]
            ends = (start, size if end is None else end)
            start, end = (min(max(point + size if point < 0 else point, 0), size) for point in ends)
            return start, [max(end - start, 0)]
        case "aten.split":
            return 0, [min(call.arguments["split_size"], size)]
        case "aten.split_with_sizes":
            return 0, call.arguments["split_sizes"]
        case _:
            return 1, [size]


def _listed(result: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    return [result] if isinstance(result, Tensor) else result


def _moved(call: Call, move: Callable[[Tensor], Sequence[Tensor]]) -> list[Lines]:
    """Moves, for each line, a tensor of its elements as the operation moves the numbers."""
    x = call.operands[0]
    found: list[list[Line]] = [[None] * output.dim() for output in call.outputs]
    for axis, line in enumerate(x.lines):
        if line is None:
            continue
        shape = [1] * x.tensor.dim()
        shape[axis] = -1
        elements = call.unions.roots(line)
        for lines, image in zip(found, move(elements.view(shape).expand(x.tensor.shape)), strict=True):
            _place(call, lines, axis, image)
    return [tuple(lines) for lines in found]


def _place(call: Call, lines: list[Line], axis: int, image: Tensor) -> None:
    """Finds the axis along which elements differ and notes them there.

    Where they differ along several, as after channels are viewed as (groups, n), those of one position in all groups
    are removed together: n shrinks. Where an axis has a line already, as after two axes are made one, this one stays.
    """
    if not image.numel() or not image.dim():
        call.fix(image.flatten())
        return
    varying = [a for a in range(image.dim()) if bool((image != image.narrow(a, 0, 1)).any())]
    best = max(varying, default=min(axis, image.dim() - 1))
    for a in set(range(image.dim())) - {*varying, best}:
        image = image.narrow(a, 0, 1)
    first = image
    for a in set(varying) - {best}:
        first = first.narrow(a, 0, 1)
    if len(varying) > 1:
        call.unions.unite(image.flatten(), first.expand_as(image).flatten())
    if lines[best] is None:
        lines[best] = first.flatten()
    else:
        call.fix(first.flatten())
