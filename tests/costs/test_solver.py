"""Budgets solved exactly: against trying every genotype, on random instances that have no structure to lean on."""

import itertools
import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.architecture import Candidate, Choice
from nas.costs import CostModel, CostTerm, Quantity, SearchedLayer, bops
from nas.costs.program import Indices, Program
from nas.costs.terms import tabulated

Decisions = dict[str, Candidate]


def random_model(rng: random.Random) -> CostModel:
    """Five choices, terms of one to three of them with arbitrary whole values, a constant, and a sum of three."""
    choices = {f"c{i}": Choice(f"c{i}", tuple(range(rng.choice((2, 3))))) for i in range(5)}
    size = rng.choice((10, 10**12))
    terms = [CostTerm((), torch.tensor(float(rng.randint(0, size))).double())]
    for _ in range(6):
        names = rng.sample(list(choices), rng.choice((1, 2, 3)))
        shape = [len(choices[name].candidates) for name in names]
        values = [float(rng.randint(0, size)) for _ in range(math.prod(shape))]
        terms.append(CostTerm(tuple(names), torch.tensor(values, dtype=torch.float64).reshape(shape)))
    parts = {n: tuple(float(rng.randint(1, 4)) for _ in choices[n].candidates) for n in rng.sample(list(choices), 3)}
    terms.append(tabulated(lambda total: (total * 7919 % 13) * size, Quantity(2.0, parts), what="a sum"))
    return CostModel("made_up", "units", choices, terms)


def all_genotypes(model: CostModel) -> list[Decisions]:
    combinations = itertools.product(*(choice.candidates for choice in model.choices.values()))
    return [dict(zip(model.choices, combination, strict=True)) for combination in combinations]


def score(decisions: Decisions, scores: dict[str, Tensor], model: CostModel) -> float:
    return math.fsum(scores[name][model.choices[name].index(one)].item() for name, one in decisions.items())


@pytest.mark.parametrize("seed", range(8))
def test_smallest_largest_and_best_within_are_those_of_enumeration(seed: int) -> None:
    rng = random.Random(seed)
    model = random_model(rng)
    costs = [model.exact(decisions) for decisions in all_genotypes(model)]
    for extreme, expected in ((model.smallest(), min(costs)), (model.largest(), max(costs))):
        assert extreme[0] == expected == model.exact(extreme[1])
    generator = torch.Generator().manual_seed(seed)
    scores = {name: torch.randn(len(c.candidates), generator=generator) for name, c in model.choices.items()}
    # limits that some genotype meets exactly, and limits one below such a cost, which rounding could let through
    dearer = [cost for cost in costs if cost > min(costs)]
    for limit in [cost - below for cost in rng.sample(dearer, 4) for below in (0, 1)]:
        found = model.best_within(limit, scores)
        assert model.exact(found) <= limit
        within = [d for d, cost in zip(all_genotypes(model), costs, strict=True) if cost <= limit]
        best = max(score(decisions, scores, model) for decisions in within)
        assert score(found, scores, model) == pytest.approx(best, rel=0, abs=1e-12)


def test_equal_scores_leave_the_first_candidates_that_fit() -> None:
    choices = {name: Choice(name, (8, 4, 2)) for name in ("x", "y", "z")}
    bits = {name: Quantity(0, {name: (8.0, 4.0, 2.0)}) for name in choices}
    layers = [SearchedLayer(n, 9, 4, Quantity(8), Quantity(8), weight_bits=bits[n]) for n in ("x", "y")]
    model = bops(choices, layers)
    even = {name: torch.zeros(3) for name in choices}
    assert model.best_within(model.largest()[0], even) == {"x": 8, "y": 8, "z": 8}
    # within the cost of 8 and 2 bits: x keeps its first, z costs nothing
    limit = model.exact({"x": 8, "y": 2, "z": 8})
    found = model.best_within(limit, even)
    assert found["z"] == 8
    assert model.exact(found) <= limit
    for name in ("x", "y"):
        earlier = choices[name].candidates[: choices[name].index(found[name])]
        assert all(model.exact({**found, name: candidate}) > limit for candidate in earlier)
    assert model.smallest()[1] == {"x": 2, "y": 2, "z": 8}
    assert model.largest()[1] == {"x": 8, "y": 8, "z": 8}


@pytest.mark.parametrize("seed", range(3))
def test_a_solver_that_lets_limits_slip_is_not_believed(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the solver's tolerance does at a distance of 1e-10 of the limit, here at 20 % of it."""
    model = random_model(random.Random(seed))
    generator = torch.Generator().manual_seed(seed)
    scores = {name: torch.randn(len(c.candidates), generator=generator) for name, c in model.choices.items()}
    best, least = model.exact(model.best_within(math.inf, scores)), model.smallest()[0]
    strict, slack, excluded_before = Program.minimised, 1.0, []

    def lenient(self: Program, objective: Any, limit: float, excluded: Sequence[Indices] = ()) -> Indices:
        excluded_before.append(len(excluded))
        return strict(self, objective, slack * limit, excluded)

    monkeypatch.setattr(Program, "minimised", lenient)
    model.best_within((least + best) / 2, scores)
    assert excluded_before == [0]
    expected = model.best_within(best - 1, scores)
    slack = 1.2
    excluded_before.clear()
    assert model.best_within(best - 1, scores) == expected
    assert excluded_before == list(range(len(excluded_before)))
    assert len(excluded_before) > 1


def test_minus_infinity_is_taken_only_where_nothing_else_fits() -> None:
    choices = {name: Choice(name, (8, 4)) for name in ("x", "y")}
    values = torch.tensor([8.0, 4.0], dtype=torch.float64)
    model = CostModel("bits", "bits", choices, [CostTerm(("x",), values), CostTerm(("y",), values)])
    scores = {"x": torch.tensor([0.0, -math.inf]), "y": torch.tensor([0.0, -1000.0])}
    assert model.best_within(16, scores) == {"x": 8, "y": 8}
    assert model.best_within(12, scores) == {"x": 8, "y": 4}
    assert model.best_within(8, scores) == {"x": 4, "y": 4}


def test_minus_infinity_is_below_all_other_scores_together() -> None:
    choices = {name: Choice(name, (8, 4)) for name in ("x", "y", "z")}
    saved = {"x": 8.0, "y": 4.0, "z": 4.0}
    terms = [CostTerm((name,), torch.tensor([8.0, 8.0 - saved[name]]).double()) for name in choices]
    model = CostModel("bits", "bits", choices, terms)
    dear = torch.tensor([0.0, -1000.0])
    scores = {"x": torch.tensor([0.0, -math.inf]), "y": dear, "z": dear}
    assert model.best_within(16, scores) == {"x": 8, "y": 4, "z": 4}


def test_a_budget_that_nothing_meets_names_the_smallest_cost() -> None:
    choices = {"x": Choice("x", (8, 4))}
    terms = [CostTerm(("x",), torch.tensor([44_200.0, 22_100.0], dtype=torch.float64))]
    model = CostModel("bops", "bops", choices, terms)
    scores = {"x": torch.zeros(2)}
    with pytest.raises(ValueError) as error:  # noqa: PT011
        model.best_within(1000, scores)
    assert str(error.value) == (
        "the budget of 1,000 bops cannot be met: the smallest possible cost in this space is 22,100 bops; "
        "give at least that"
    )
    assert model.best_within(22_100, scores) == {"x": 4}
    with pytest.raises(ValueError, match="the budget of nan bops cannot be met"):
        model.best_within(math.nan, scores)


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ({}, "there are no scores for the choice 'x'"),
        ({"x": torch.tensor([0.0, math.nan])}, "the scores of the choice 'x' are .* give a number"),
        ({"x": torch.tensor([0.0, math.inf])}, "the scores of the choice 'x' are .* give a number"),
        ({"x": torch.zeros(3)}, r"for each of its candidates \(8, 4\)"),
    ],
)
def test_scores_that_do_not_fit_are_refused(scores: dict[str, Tensor], words: str) -> None:
    model = CostModel("bits", "bits", {"x": Choice("x", (8, 4))}, [CostTerm(("x",), torch.ones(2).double())])
    with pytest.raises(ValueError, match=words):
        model.best_within(10, scores)


def test_nothing_that_costs_and_nothing_that_is_better() -> None:
    model = CostModel("bits", "bits", {"x": Choice("x", (8, 4))}, [])
    assert model.smallest() == model.largest() == (0.0, {"x": 8})
    assert model.best_within(0, {"x": torch.tensor([1.0, 2.0])}) == {"x": 4}
