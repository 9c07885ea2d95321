"""The expected cost of a mixture, for all terms at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.costs.sums import Sum
from nas.costs.terms import CostTerm


@dataclass(frozen=True)
class Batch:
    """T terms of one shape: `values` (T, K1, K2, ...) and, for each axis, the rows (T,) that its choices have among all
    choices of as many candidates."""

    values: Tensor
    rows: tuple[Tensor, ...]

    def expected(self, weights: Mapping[int, Tensor]) -> Tensor:
        """The sum over terms and candidates of value times weights; `weights[K]` is (choices, K)."""
        totals = self.values
        for rows in reversed(self.rows):
            totals = torch.einsum("t...k,tk->t...", totals, weights[totals.shape[-1]][rows])
        return totals.sum()


class Expectation:
    """E[cost] = sum over terms of sum_{i, j, ...} values[i, j, ...] w1[i] w2[j] ..., exact for independent choices.

    Terms of equal shape are computed together; the tensors of a device are made at its first mixture.
    """

    def __init__(self, terms: Sequence[CostTerm], sums: Mapping[str, Sum]) -> None:
        used = {name: len(values) for one in sums.values() for name, values in one.parts.items()}
        for term in terms:
            used |= dict(zip(term.choices, term.values.shape, strict=True))
        self.choices = _by_size({name: size for name, size in used.items() if name not in sums})
        self.of_sums = _by_size({name: len(one.values) for name, one in sums.items()})
        self.sums = sums
        sizes = {**self.choices, **self.of_sums}
        row = {n: i for size in sizes for i, n in enumerate([*self.choices.get(size, ()), *self.of_sums.get(size, ())])}
        targets = {name: one.targets for name, one in sums.items()}
        self._places = {torch.device("cpu"): (_batches(terms, row), targets)}

    def __call__(self, mixture: Mapping[str, Tensor]) -> Tensor:
        """The expected cost, a float64 number on the device of the mixture, with its gradient."""
        weights = {
            size: torch.stack([mixture[name] for name in names]).double() for size, names in self.choices.items()
        }
        device = next(iter(weights.values())).device
        batches, targets = self._on(device)
        if self.sums:
            single = {n: row for k, names in self.choices.items() for n, row in zip(names, weights[k], strict=True)}
            for size, names in self.of_sums.items():
                rows = torch.stack([self.sums[name].weights(single, targets[name]) for name in names])
                weights[size] = torch.cat([weights[size], rows]) if size in weights else rows
        return torch.stack([batch.expected(weights) for batch in batches]).sum()

    def _on(self, device: torch.device) -> tuple[list[Batch], dict[str, tuple[Tensor, ...]]]:
        if device not in self._places:
            batches, targets = self._places[torch.device("cpu")]
            self._places[device] = (
                [Batch(batch.values.to(device), tuple(rows.to(device) for rows in batch.rows)) for batch in batches],
                {name: tuple(target.to(device) for target in steps) for name, steps in targets.items()},
            )
        return self._places[device]


def _by_size(sizes: Mapping[str, int]) -> dict[int, list[str]]:
    names: dict[int, list[str]] = {}
    for name, size in sizes.items():
        names.setdefault(size, []).append(name)
    return names


def _batches(terms: Sequence[CostTerm], row: Mapping[str, int]) -> list[Batch]:
    alike: dict[torch.Size, list[CostTerm]] = {}
    for term in terms:
        alike.setdefault(term.values.shape, []).append(term)
    return [_batch(members, row) for members in alike.values()]


def _batch(terms: Sequence[CostTerm], row: Mapping[str, int]) -> Batch:
    axes = zip(*(term.choices for term in terms), strict=True)
    rows = tuple(torch.tensor([row[name] for name in names]) for names in axes)
    return Batch(torch.stack([term.values for term in terms]), rows)
