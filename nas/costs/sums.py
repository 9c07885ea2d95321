"""The sum of values that independent choices take, as one choice of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sum:
    """The sum over `parts` of the value that each choice takes; its candidates are all values that it can have.

    A layer that reads a concatenation of 12 searched widths sees 4^12 combinations of them, but few different sums.
    """

    parts: Mapping[str, tuple[float, ...]]

    @property
    def name(self) -> str:
        """What it is called among choices: equal sums have equal names, and no choice is called like one."""
        return " + ".join(f"{name} {values}" for name, values in self.parts.items())

    @cached_property
    def values(self) -> tuple[float, ...]:
        """All values that it can have, each once, ascending."""
        return self._partial[-1]

    @cached_property
    def targets(self) -> tuple[Tensor, ...]:
        """For each part, (values of the sum before * candidates,): the index of the sum with it, as `weights` uses."""
        targets = []
        for (before, together), values in zip(pairwise(self._partial), self.parts.values(), strict=True):
            place = {value: index for index, value in enumerate(together)}
            targets.append(torch.tensor([place[one + other] for one in before for other in values]))
        return tuple(targets)

    def index(self, indices: Mapping[str, int]) -> int:
        """The index of its value where the choices take the candidates of these indices."""
        total = 0.0
        for name, values in self.parts.items():
            total += values[indices[name]]
        return self.values.index(total)

    def weights(self, of_choices: Mapping[str, Tensor], targets: Sequence[Tensor]) -> Tensor:
        """The weight of each value, from those of the candidates of every choice, by convolution, exactly:

            P_n(s) = sum_k w_n[k] P_{n-1}(s - v_n[k])

        `targets` are those of this sum, on the device of the weights.
        """
        weights = of_choices[next(iter(self.parts))].new_ones(1)
        for name, values, target in zip(self.parts, self._partial[1:], targets, strict=True):
            product = (weights[:, None] * of_choices[name]).flatten()
            weights = weights.new_zeros(len(values)).index_add(0, target, product)
        return weights

    @cached_property
    def _partial(self) -> list[tuple[float, ...]]:
        """The values of the sum of the first 0, 1, ... parts."""
        partial: list[tuple[float, ...]] = [(0.0,)]
        for values in self.parts.values():
            partial.append(tuple(sorted({one + other for one in partial[-1] for other in values})))
        return partial
