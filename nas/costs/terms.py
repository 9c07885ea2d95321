"""Costs that depend on a few choices jointly, and how they are made from quantities."""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nas.costs.quantity import Quantity
from nas.costs.sums import Sum

LARGEST = 2**17
"""The most joint candidates of one term: a table of them takes a megabyte."""


@dataclass(frozen=True)
class CostTerm:
    """A cost that depends on a few choices: values[i, j, ...] for candidates i, j, ... of each, in float64.

    Without choices it is a constant. `sums` are those of its choices that are sums of others, by name.
    """

    choices: tuple[str, ...]
    values: Tensor
    sums: Mapping[str, Sum] = field(default_factory=dict)


def product(*quantities: Quantity, scale: float = 1.0) -> list[CostTerm]:
    """scale * the product of quantities, multiplied out: a term for each choice of one addend of every factor.

    Quantities may depend on the same choice.
    """
    terms = []
    for factors in itertools.product(*(quantity.addends() for quantity in quantities)):
        sizes = {name: len(values) for name, values in factors if name is not None}
        table = torch.full(tuple(sizes.values()), scale, dtype=torch.float64)
        for name, values in factors:
            shape = [-1 if other == name else 1 for other in sizes]
            table = table * torch.tensor(values, dtype=torch.float64).reshape(shape)
        terms.append(CostTerm(tuple(sizes), table))
    return terms


def tabulated(function: Callable[..., float], *quantities: Quantity, what: str) -> CostTerm:
    """Any function of quantities, one value for each combination of candidates.

    Choices that are only ever added up count as one, their sum: those of one quantity, or the same of several.

    Raises:
        ValueError: more than `LARGEST` combinations, with `what` costs so.
    """
    reduced, sums = _summed(quantities)
    sizes = {name: len(values) for quantity in reduced for name, values in quantity.parts.items()}
    if math.prod(sizes.values()) > LARGEST:
        raise ValueError(
            f"the cost of {what} depends on {math.prod(sizes.values()):,} combinations of candidates; {LARGEST:,} are "
            f"the most: search fewer candidates, or leave some of {', '.join(sizes)} fixed"
        )
    combinations = itertools.product(*(range(size) for size in sizes.values()))
    indices = (dict(zip(sizes, combination, strict=True)) for combination in combinations)
    table = [function(*(quantity.at(index) for quantity in reduced)) for index in indices]
    return CostTerm(tuple(sizes), torch.tensor(table, dtype=torch.float64).reshape(tuple(sizes.values())), sums)


def merged(terms: Iterable[CostTerm]) -> list[CostTerm]:
    """One term for all that depend on the same choices; the choices of few candidates come first in each."""
    found: dict[tuple[str, ...], CostTerm] = {}
    for term in terms:
        order = sorted(range(len(term.choices)), key=lambda axis: (term.values.shape[axis], term.choices[axis]))
        names = tuple(term.choices[axis] for axis in order)
        values = term.values.permute(order)
        found[names] = CostTerm(names, values + found[names].values if names in found else values, term.sums)
    return list(found.values())


def _summed(quantities: Sequence[Quantity]) -> tuple[list[Quantity], dict[str, Sum]]:
    """The same quantities with parts that only ever occur together as one, and these sums by name."""
    together: dict[tuple[int, ...], dict[str, tuple[float, ...]]] = defaultdict(dict)
    for name in {name: None for quantity in quantities for name in quantity.parts}:
        users = tuple(index for index, quantity in enumerate(quantities) if name in quantity.parts)
        values = {tuple(quantities[index].parts[name]) for index in users}
        if len(values) == 1:
            together[users][name] = values.pop()
    reduced, sums = list(quantities), {}
    for members, parts in together.items():
        if len(parts) > 1:
            one = Sum(parts)
            sums[one.name] = one
            for index in members:
                others = {name: values for name, values in reduced[index].parts.items() if name not in parts}
                reduced[index] = Quantity(reduced[index].constant, {**others, one.name: one.values})
    return reduced, sums
