"""One-hot choices and a cost with products of them, as a mixed-integer linear program."""

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nas.costs.sums import Sum
from nas.costs.terms import CostTerm

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Indices = dict[str, int]
"""The index of the candidate that each choice takes."""

LARGEST_COEFFICIENT = 1e4
"""What objectives and limits are scaled to: the tolerances of the solver are absolute, 1e-6 and less."""

SMALLEST = 1e-300
"""Stands for a scale of zero, where nothing costs anything or all scores are equal."""


class Program:
    """Choices x[c, k] in {0, 1} with sum_k x[c, k] = 1, and a cost that is linear in these and a few more variables.

    A term of several choices gets z[i, j, ...] >= 0 for its joint candidates, whose marginals are the x of its choices:

        sum_{j, ...} z[i, j, ...] = x[c, i]     for every i, and so on for each axis

    Where x is one-hot z is its product, so that the cost is exact. A sum of choices is a choice y whose value is bound
    to theirs: sum_s s y[s] = sum_parts sum_k v[k] x[part, k].
    """

    def __init__(
        self, choices: Mapping[str, int], terms: Sequence[CostTerm], sums: Mapping[str, Sum], constant: float
    ) -> None:
        self.choices, self.constant = dict(choices), constant
        sizes = {**choices, **{name: len(one.values) for name, one in sums.items()}}
        starts = np.cumsum([0, *sizes.values()])
        self._start = dict(zip(sizes, starts.tolist(), strict=False))
        self._binary = int(starts[-1])
        joint = [term for term in terms if len(term.choices) > 1]
        blocks = np.cumsum([self._binary, *(term.values.numel() for term in joint)]).tolist()
        self.variables = blocks[-1]
        self.cost = np.zeros(self.variables)
        for term in terms:
            if len(term.choices) == 1:
                start = self._start[term.choices[0]]
                self.cost[start : start + term.values.numel()] += term.values.numpy()
        self._equalities = _Rows(self.variables)
        for name, size in sizes.items():
            self._equalities.add(np.arange(size) + self._start[name], np.ones(size), 1.0)
        for one in sums.values():
            self._bind(one)
        for term, first in zip(joint, blocks, strict=False):
            self.cost[first : first + term.values.numel()] = term.values.numpy().ravel()
            self._marginals(term, first)

    def minimised(self, objective: np.ndarray, limit: float = np.inf, excluded: Sequence[Indices] = ()) -> Indices:
        """The choices that minimise objective @ variables among those of cost `limit` at most that are not excluded.

        The solver's tolerances are about 1e-10 of the largest coefficient of the objective, and 1e-10 of the limit.
        """
        # here, since it takes half a second and few commands solve anything
        from scipy.optimize import Bounds, LinearConstraint, milp

        matrix, values = self._equalities.matrix()
        constraints = [LinearConstraint(matrix, values, values)]
        if np.isfinite(limit):
            rest = limit - self.constant
            scale = LARGEST_COEFFICIENT / max(abs(rest), np.abs(self.cost).max() / LARGEST_COEFFICIENT, SMALLEST)
            constraints.append(LinearConstraint(self.cost[None] * scale, -np.inf, rest * scale))
        if excluded:
            rows = np.zeros((len(excluded), self.variables))
            for row, indices in zip(rows, excluded, strict=True):
                row[[self._start[name] + index for name, index in indices.items()]] = 1
            constraints.append(LinearConstraint(rows, -np.inf, len(self.choices) - 1))
        integrality = (np.arange(self.variables) < self._binary).astype(int)
        objective = objective * (LARGEST_COEFFICIENT / max(np.abs(objective).max(), SMALLEST))
        found = milp(
            objective, integrality=integrality, bounds=Bounds(0, 1), constraints=constraints, options={"mip_rel_gap": 0}
        )
        assert found.x is not None, f"the program has a solution, but the solver says: {found.message}"
        return {name: int(found.x[self._block(name)].argmax()) for name in self.choices}

    def scores(self, of_choices: Mapping[str, Sequence[float]]) -> np.ndarray:
        """The objective that sums a score for the candidate that each choice takes."""
        objective = np.zeros(self.variables)
        for name, values in of_choices.items():
            objective[self._block(name)] = values
        return objective

    def _block(self, name: str) -> slice:
        return slice(self._start[name], self._start[name] + self.choices[name])

    def _bind(self, one: Sum) -> None:
        columns = [np.arange(len(one.values)) + self._start[one.name]]
        factors = [np.asarray(one.values)]
        for name, values in one.parts.items():
            columns.append(np.arange(len(values)) + self._start[name])
            factors.append(-np.asarray(values))
        self._equalities.add(np.concatenate(columns), np.concatenate(factors), 0.0)

    def _marginals(self, term: CostTerm, first: int) -> None:
        places = first + np.arange(term.values.numel()).reshape(term.values.shape)
        for axis, name in enumerate(term.choices):
            for index in range(places.shape[axis]):
                of_one = places.take(index, axis=axis).ravel()
                columns = np.append(of_one, self._start[name] + index)
                self._equalities.add(columns, np.append(np.ones(of_one.size), -1.0), 0.0)


class _Rows:
    """The rows of a sparse system of equations, collected one by one."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.columns: list[np.ndarray] = []
        self.factors: list[np.ndarray] = []
        self.values: list[float] = []

    def add(self, columns: np.ndarray, factors: np.ndarray, value: float) -> None:
        """sum of factors * variables[columns] = value"""
        self.columns.append(columns)
        self.factors.append(factors)
        self.values.append(value)

    def matrix(self) -> "tuple[csr_array, np.ndarray]":
        """The left side and the right side of all rows."""
        from scipy.sparse import csr_array

        ends = list(itertools.accumulate((row.size for row in self.columns), initial=0))
        data = np.concatenate(self.factors), np.concatenate(self.columns), np.array(ends)
        return csr_array(data, shape=(len(self.values), self.width)), np.array(self.values)
