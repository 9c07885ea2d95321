"""Rules for operations that keep channels apart, and for those that mix them."""

from collections.abc import Callable, Sequence

from nas.channels.labels import Call, Kind, Line, Lines


def pointwise(call: Call) -> list[Lines]:
    """Numbers in one place are combined; sizes of 1 broadcast."""
    return [
        _broadcast(call) if output.shape == call.outputs[0].shape else (None,) * output.dim() for output in call.outputs
    ]


def spatial(axes: int) -> Callable[[Call], list[Lines]]:
    """The rule of an operation that mixes the last `axes` axes, such as pooling, and no others."""

    def rule(call: Call) -> list[Lines]:
        lines = call.operands[0].lines
        for line in lines[-axes:]:
            call.fix(line)
        return [(*lines[:-axes], *[None] * axes) for _ in call.outputs]

    return rule


def reduced(call: Call) -> list[Lines]:
    """Some axes become one number, or all do. A reduction over a weight is a constant: its axes need not stay."""
    x = call.operands[0]
    rank = x.tensor.dim()
    dims = call.arguments.get("dim")
    gone = {axis % rank for axis in ([dims] if isinstance(dims, int) else dims or range(rank)) if rank}
    if call.kind is Kind.ACTIVATION:
        for axis in gone:
            call.fix(x.lines[axis])
    kept = [None if axis in gone else line for axis, line in enumerate(x.lines)]
    if not call.arguments.get("keepdim", False):
        kept = [line for axis, line in enumerate(kept) if axis not in gone]
    return [tuple(kept) for _ in call.outputs]


def mixed_along(call: Call) -> list[Lines]:
    """One axis is mixed and keeps its size, as by a softmax."""
    x = call.operands[0]
    call.fix(x.lines[call.arguments["dim"] % x.tensor.dim()] if x.lines else None)
    return [x.lines for _ in call.outputs]


def batch_normalized(call: Call) -> list[Lines]:
    """Each channel has a mean, a variance, a scale and a shift of its own, or some of them."""
    x = call.named["input"]
    owned = _parameters(call, "weight", "bias", "running_mean", "running_var")
    channels = call.join([x.lines[1], *owned])
    for line in (x.lines[0], *x.lines[2:]):
        call.fix(line)
    return [(None, channels, *x.lines[2:]), *[(None,) * output.dim() for output in call.outputs[1:]]]


def group_normalized(call: Call) -> list[Lines]:
    """Channels of a group share mean and variance, so all must stay."""
    x = call.named["input"]
    call.join([x.lines[1], *_parameters(call, "weight", "bias")])
    return everything(call, (x.lines, *[(None,) * output.dim() for output in call.outputs[1:]]))


def layer_normalized(call: Call) -> list[Lines]:
    """The last axes share mean and variance, so all their numbers must stay."""
    x = call.named["input"]
    last = len(call.arguments["normalized_shape"])
    for parameter in ("weight", "bias"):
        if parameter in call.named:
            for lines in zip(x.lines[-last:], call.named[parameter].lines, strict=True):
                call.join(lines)
    for line in x.lines[-last:]:
        call.fix(line)
    return [x.lines, *[(None,) * output.dim() for output in call.outputs[1:]]]


def filled(call: Call) -> list[Lines]:
    """New numbers that take no more than type and device from an operand."""
    return [(None,) * output.dim() for output in call.outputs]


def everything(call: Call, lines: Sequence[Lines] | None = None) -> list[Lines]:
    """All that an operation reads must stay, since nothing is known of the operation."""
    for operand in call.operands:
        for line in operand.lines:
            call.fix(line)
    return list(lines or filled(call))


def _parameters(call: Call, *names: str) -> list[Line]:
    """The lines of those parameters (C,) that are given."""
    return [call.named[name].lines[0] for name in names if name in call.named]


def _broadcast(call: Call) -> Lines:
    lines: list[Line] = []
    shape = call.outputs[0].shape
    for back in range(1, len(shape) + 1):
        here = [operand for operand in call.operands if operand.tensor.dim() >= back]
        wide = [operand for operand in here if operand.tensor.shape[-back] == shape[-back]]
        for operand in here:
            if operand.tensor.shape[-back] != shape[-back]:
                call.fix(operand.lines[-back], f"operation {call.name} repeats it")
        joined = call.join([operand.lines[-back] for operand in wide])
        deciding = [operand.lines[-back] for operand in wide if operand.labels.kind is call.kind]
        if deciding and all(line is None for line in deciding):
            joined = None
        lines.insert(0, joined)
    return tuple(lines)
