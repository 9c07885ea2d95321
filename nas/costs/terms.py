"""Costs that depend on a few choices jointly, and how they are made from quantities."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
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

    Several parts of one quantity that no other depends on count as one choice, their sum.

    Raises:
        ValueError: more than `LARGEST` combinations, with `what` costs so.
    """
    users = Counter(name for quantity in quantities for name in quantity.parts)
    sums: dict[str, Sum] = {}
    reduced = [_summed(quantity, users, sums) for quantity in quantities]
    sizes = {name: len(values) for quantity in reduced for name, values in quantity.parts.items()}
    if math.prod(sizes.values()) > LARGEST:
        raise ValueError(
            f"the cost of {what} depends on {math.prod(sizes.values()):,} combinations of candidates; {LARGEST:,} are "
            f"the most: search fewer candidates, or leave some of {', '.join(users)} fixed"
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


def _summed(quantity: Quantity, users: Mapping[str, int], sums: dict[str, Sum]) -> Quantity:
    """The same quantity with its own parts, where they are several, as one; notes their sum in `sums`."""
    own = {name: values for name, values in quantity.parts.items() if users[name] == 1}
    if len(own) < 2:
        return quantity
    together = Sum(own)
    sums[together.name] = together
    shared = {name: values for name, values in quantity.parts.items() if name not in own}
    return Quantity(quantity.constant, {**shared, together.name: together.values})
