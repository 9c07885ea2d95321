"""What any architecture of a search space costs: expected, exactly, at least, at most, and the best within a limit."""

import math
from collections.abc import Iterable, Mapping
from functools import cached_property

import torch
from torch import Tensor

from nas.architecture import Candidate, Choice
from nas.costs.expectation import Expectation
from nas.costs.program import Program
from nas.costs.solver import best_within, extreme
from nas.costs.sums import Sum
from nas.costs.terms import CostTerm, merged
from nas.costs.words import in_words

Decisions = dict[str, Candidate]


class CostModel:
    """A cost as a constant plus terms of a few choices each.

    `name` says what is counted, such as `bops`, and `unit` in what, such as `BOPs`, `bytes` or `seconds`. `choices` are
    all that a genotype decides, those that cost nothing included. Every number is float64: costs exceed 2^24, where
    float32 loses whole numbers.

    Raises:
        ValueError: a term of a choice that is not among `choices`, or of another number of candidates.
    """

    def __init__(self, name: str, unit: str, choices: Mapping[str, Choice], terms: Iterable[CostTerm]) -> None:
        self.name, self.unit, self.choices = name, unit, dict(choices)
        everything = merged(terms)
        self.terms = tuple(term for term in everything if term.choices)
        self.constant = sum(term.values.item() for term in everything if not term.choices)
        self.sums: dict[str, Sum] = {name: one for term in self.terms for name, one in term.sums.items()}
        self._check()
        self._tables = [(term.choices, term.values.numpy()) for term in self.terms]
        self._expectation = Expectation(self.terms, self.sums)

    def expected(self, mixture: Mapping[str, Tensor]) -> Tensor:
        """The mean cost of genotypes whose choices are drawn independently with the weights of a mixture: a float64
        number, exact, differentiable. At a one-hot mixture it is the cost of that genotype."""
        if not self.terms:
            device = next(iter(mixture.values())).device
            return torch.tensor(self.constant, dtype=torch.float64, device=device)
        return self.constant + self._expectation(mixture)

    def exact(self, decisions: Mapping[str, Candidate]) -> float:
        """What the genotype with these decisions costs.

        Raises:
            ValueError: a choice without a decision, or a candidate that it does not have.
        """
        if missing := [name for name in self.choices if name not in decisions]:
            raise ValueError(f"there is no decision for the choice {missing[0]!r}; decide {', '.join(self.choices)}")
        return self._at({name: choice.index(decisions[name]) for name, choice in self.choices.items()})

    def smallest(self) -> tuple[float, Decisions]:
        """The least that a genotype costs and the decisions of one that does."""
        return self._smallest

    def largest(self) -> tuple[float, Decisions]:
        """The most that a genotype costs and the decisions of one that does."""
        return self._largest

    def best_within(self, limit: float, scores: Mapping[str, Tensor]) -> Decisions:
        """The decisions that maximise the sum of scores[choice][candidate] among genotypes that cost `limit` at most.

        -inf is a score below all others together. Among equal scores the first candidate is taken where that leaves the
        cost within the limit, choice by choice from the solver's solution on.

        Raises:
            ValueError: no genotype costs so little, with the smallest cost; scores that are missing or not numbers.
        """
        rated = {name: self._rated(choice, scores) for name, choice in self.choices.items()}
        least, _ = self.smallest()
        if not least <= limit:
            raise ValueError(
                f"the budget of {self.in_words(limit)} cannot be met: the smallest possible cost in this space is "
                f"{self.in_words(least, up=True)}; give at least that"
            )
        return self._decisions(best_within(self._program, self._at, limit, rated))

    def in_words(self, cost: float, *, up: bool = False) -> str:
        """A cost with its unit; with `up` none below it, as a limit that it meets."""
        return f"{in_words(cost, up=up)} {self.unit}"

    def _extreme(self, sign: float) -> tuple[float, Decisions]:
        indices = extreme(self._program, self._at, sign)
        return self._at(indices), self._decisions(indices)

    @cached_property
    def _smallest(self) -> tuple[float, Decisions]:
        return self._extreme(1.0)

    @cached_property
    def _largest(self) -> tuple[float, Decisions]:
        return self._extreme(-1.0)

    @cached_property
    def _program(self) -> Program:
        sizes = {name: len(choice.candidates) for name, choice in self.choices.items()}
        return Program(sizes, self.terms, self.sums, self.constant)

    def _at(self, indices: Mapping[str, int]) -> float:
        """The cost where each choice takes the candidate of this index."""
        where = {**indices, **{name: one.index(indices) for name, one in self.sums.items()}}
        values = (float(table[tuple(where[name] for name in names)]) for names, table in self._tables)
        return math.fsum((self.constant, *values))

    def _decisions(self, indices: Mapping[str, int]) -> Decisions:
        return {name: choice.candidates[indices[name]] for name, choice in self.choices.items()}

    def _rated(self, choice: Choice, scores: Mapping[str, Tensor]) -> list[float]:
        if choice.name not in scores:
            raise ValueError(f"there are no scores for the choice {choice.name!r}; score {', '.join(self.choices)}")
        rated = scores[choice.name].tolist()
        if len(rated) != len(choice.candidates) or any(math.isnan(score) or score == math.inf for score in rated):
            raise ValueError(
                f"the scores of the choice {choice.name!r} are {rated}; give a number, or -inf, for each of its "
                f"candidates {choice.candidates}"
            )
        return rated

    def _check(self) -> None:
        for term in self.terms:
            parts = {name: len(values) for one in term.sums.values() for name, values in one.parts.items()}
            sizes = dict(zip(term.choices, term.values.shape, strict=True))
            for name, size in {**parts, **sizes}.items():
                if name in term.sums:
                    continue
                if name not in self.choices:
                    raise ValueError(f"a cost depends on {name!r}, which is none of the choices {list(self.choices)}")
                if size != len(self.choices[name].candidates):
                    raise ValueError(
                        f"a cost has {size} values for the choice {name!r}, whose candidates are "
                        f"{self.choices[name].candidates}; give one for each"
                    )
