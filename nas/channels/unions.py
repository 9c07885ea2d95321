"""Which channels are one: a union-find over numbered elements, and why some of them must stay."""

import torch
from torch import Tensor


class Unions:
    """Elements 0, 1, 2, ..., the sets that they form so far, and reasons why a set is fixed.

    A line is an int64 tensor (n,) of elements, one for each position along an axis of some tensor.
    """

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._reasons: dict[int, str] = {}

    def fresh(self, size: int) -> Tensor:
        """A line of new elements, each alone."""
        start = len(self._parents)
        self._parents.extend(range(start, start + size))
        return torch.arange(start, start + size)

    def unite(self, one: Tensor, other: Tensor) -> None:
        """Joins the sets of both lines, position by position."""
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            first, second = sorted((self._root(a), self._root(b)))
            self._parents[second] = first

    def tie(self, line: Tensor, period: int) -> None:
        """Joins all positions of a line that are a multiple of `period` apart."""
        self.unite(line, line[:period].repeat(len(line) // period))

    def roots(self, line: Tensor) -> Tensor:
        """The first element of each position's set."""
        return torch.tensor([self._root(element) for element in line.tolist()], dtype=torch.int64)

    def fix(self, line: Tensor, reason: str) -> None:
        """Says that the sets of a line must stay; of several reasons the first one counts."""
        for element in line.tolist():
            self._reasons.setdefault(element, reason)

    def reasons(self) -> dict[int, str]:
        """Root of each fixed set -> why."""
        found: dict[int, str] = {}
        for element, reason in self._reasons.items():
            found.setdefault(self._root(element), reason)
        return found

    def _root(self, element: int) -> int:
        parents = self._parents
        while parents[element] != element:
            parents[element] = parents[parents[element]]
            element = parents[element]
        return element
