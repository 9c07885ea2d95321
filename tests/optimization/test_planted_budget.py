"""Searches whose budget decides: a loss that is linear in the mixture, against known costs."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from nas.architecture import ArchParameters, Choice, Mixture, likeliest
from nas.optimization import Budget, FirstOrder, HomogeneousLine, Objective, Penalty, Target
from nas.relaxation import Softmax
from tests.marks import slow
from tests.optimization.budgets import priced
from tests.optimization.contracts import TRAIN, VALID

COSTS = {f"{place}/op": [1.0, 2.0, 4.0, 8.0] for place in range(6)}
COST = priced(COSTS)  # 6 to 48
DEARER_IS_BETTER = [0.6, 0.3, 0.1, 0.0]
CHEAPER_IS_BETTER = [0.0, 0.3, 0.5, 0.6]


class Gains(nn.Module):
    """The loss itself: 0.1 + sum_i scale (1 + 0.3 i) gains . m_i, so that later places matter more."""

    def __init__(self, gains: Sequence[float], scale: float) -> None:
        super().__init__()
        self.idle = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.gains = scale * torch.tensor(gains, dtype=torch.float64)

    def forward(self, x: Tensor, mixture: Mixture) -> Tensor:
        terms = [(1 + 0.3 * place) * (mixture[name] @ self.gains) for place, name in enumerate(COSTS)]
        return 0.1 + torch.stack(terms).sum() + self.idle * 0


def searched(
    budget: Budget | None,
    gains: Sequence[float],
    *,
    scale: float = 1.0,
    heard: Callable[[FirstOrder], None] = lambda bilevel: None,
) -> FirstOrder:
    """The optimizer after 400 steps of Adam at rate 0.03; `heard` is called after each."""
    choices = [Choice(name, tuple(range(4))) for name in COSTS]
    arch = ArchParameters(choices, generator=torch.Generator().manual_seed(0)).double()
    objective = Objective(Gains(gains, scale), lambda loss, labels: loss)
    optimizers = torch.optim.SGD([objective.supernet.idle], lr=0.1), torch.optim.Adam(arch.parameters(), lr=0.03)
    bilevel = FirstOrder(objective, arch, Softmax(), *optimizers, budget=budget)
    for _ in range(400):
        bilevel.arch_step(TRAIN, VALID)
        heard(bilevel)
    return bilevel


def cost_of(bilevel: FirstOrder) -> float:
    return float(COST.expected(bilevel.mean_mixture()))


@pytest.mark.parametrize(
    ("target", "scale"),
    [
        *((24.0, 0.3), (36.0, 1.0)),
        *slow((24.0, 1.0), (24.0, 3.0), (12.0, 0.3), (12.0, 1.0), (12.0, 3.0), (36.0, 0.3), (36.0, 3.0)),
    ],
)
def test_the_likeliest_genotype_spends_what_it_may(target: float, scale: float) -> None:
    """On average over steps 300 to 400; the step from one candidate to the next costs up to 4."""
    costs: list[float] = []
    searched(
        Target(COST, target),
        DEARER_IS_BETTER,
        scale=scale,
        heard=lambda bilevel: costs.append(float(COST.expected(likeliest(bilevel.mean_mixture())))),
    )
    assert sum(costs[300:]) / 100 == pytest.approx(target, abs=0.5)


@pytest.mark.parametrize("scale", [1.0, *slow(0.3, 3.0)])
def test_a_target_is_met_where_the_loss_wants_more(scale: float) -> None:
    """Within 5 % after 400 steps, whatever the loss is worth, where it would otherwise spend almost all."""
    assert cost_of(searched(None, DEARER_IS_BETTER, scale=scale)) > 40
    for target in (12.0, 24.0):
        budget = Target(COST, target, held="expected")
        assert cost_of(searched(budget, DEARER_IS_BETTER, scale=scale)) == pytest.approx(target, rel=0.05)
        assert float(budget.multiplier) > 0


def test_a_target_is_left_alone_where_the_loss_wants_less() -> None:
    budget = Target(COST, 12.0)
    bilevel, free = searched(budget, CHEAPER_IS_BETTER), searched(None, CHEAPER_IS_BETTER)
    assert cost_of(bilevel) < 12 * 0.7
    assert float(budget.multiplier) == 0
    assert cost_of(bilevel) == pytest.approx(cost_of(free), rel=0.05)


def test_a_target_spends_where_it_counts() -> None:
    """The places count 1, 1.3, ..., 2.5: under one price for all, a place that counts more never gets less."""
    mixture = searched(Target(COST, 30.0, held="expected"), DEARER_IS_BETTER).mean_mixture()
    spent = [float(mixture[name] @ torch.tensor(costs, dtype=torch.float64)) for name, costs in COSTS.items()]
    assert spent == sorted(spent)
    assert spent[-1] > 1.5 * spent[0]


@pytest.mark.slow
def test_a_larger_penalty_ends_cheaper() -> None:
    costs = [cost_of(searched(Penalty(COST, weight=w), DEARER_IS_BETTER)) for w in (0.01, 4.0, 64.0)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > 40
    assert costs[-1] < 12


@pytest.mark.slow
def test_the_homogeneous_line_asks_for_the_cost_that_it_undervalues() -> None:
    """Networks that reach a loss of 0.4 whatever they cost: the gain over the line is largest where it is highest."""
    level, gains = 0.3 / sum(1 + 0.3 * place for place in range(6)), [1.0] * 4
    falling = HomogeneousLine(COST, points=[(6, 3.0), (48, 0.5)])
    rising = HomogeneousLine(COST, points=[(6, 0.5), (48, 3.0)])
    assert cost_of(searched(falling, gains, scale=level)) < 10
    assert cost_of(searched(rising, gains, scale=level)) > 40
