"""What is known of a tensor while a network runs, and of the operation at hand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from torch import Tensor

from nas.channels.unions import Unions

Line = Tensor | None
"""The elements along one axis of a tensor, (size,) int64; None where nothing is known of the axis."""
Lines = tuple[Line, ...]
"""One for each axis."""


class Kind(IntEnum):
    """What a tensor was computed from: nothing, parameters and buffers alone, or the image."""

    CONSTANT = 0
    WEIGHT = 1
    ACTIVATION = 2


@dataclass(frozen=True)
class Labels:
    """A line for each axis. A number of the tensor stays where the elements of all its axes stay.

    Attributes:
        lines: one for each axis.
        kind: what the tensor was computed from.
        sources: names of the parameters and buffers among it, if it is a weight.
    """

    lines: Lines
    kind: Kind = Kind.CONSTANT
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operand:
    """A tensor that an operation takes."""

    tensor: Tensor
    labels: Labels

    @property
    def lines(self) -> Lines:
        """Its labels' lines."""
        return self.labels.lines


@dataclass(frozen=True)
class Call:
    """One operation that has run.

    Attributes:
        name: such as `aten.add`.
        apply: runs the operation again with its first operand replaced.
        arguments: by the names of its schema, defaults included.
        operands: all tensors that it takes, in order.
        named: those that are an argument of their own.
        outputs: all tensors that it gave.
    """

    name: str
    apply: Callable[[Tensor], Any]
    arguments: dict[str, Any]
    operands: Sequence[Operand]
    named: dict[str, Operand]
    outputs: Sequence[Tensor]
    unions: Unions

    @property
    def kind(self) -> Kind:
        """What its outputs are computed from."""
        return max(operand.labels.kind for operand in self.operands)

    def fix(self, line: Line, reason: str = "") -> None:
        """The elements of a line must stay, since this operation reads them."""
        if line is not None:
            self.unions.fix(line, reason or f"operation {self.name} reads it")

    def join(self, lines: Sequence[Line], reason: str = "") -> Line:
        """Positions of all these lines are one; where nothing is known of one of them, the others must stay."""
        known = [line for line in lines if line is not None]
        for line in known[1:]:
            self.unions.unite(known[0], line)
        if len(known) < len(lines):
            for line in known:
                self.fix(line, reason)
        return known[0] if known else None

    def known(self, line: Line, size: int, reason: str = "") -> Tensor:
        """The line, or new elements that must stay where nothing is known."""
        if line is None:
            line = self.unions.fresh(size)
            self.fix(line, reason)
        return line
