"""The score function: unbiased, and blind to everything but losses."""

import copy
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from nas.architecture import ChoiceTables, Mixture
from nas.optimization import Objective, Penalty, ScoreFunction
from nas.relaxation import Multinomial, Softmax
from tests.marks import slow
from tests.optimization.contracts import TRAIN, VALID, assert_same_bits, snapshot
from tests.optimization.toys import SmallNet, adam, small_arch


class Double:
    """A cost model: twice the weight of the first candidate of every choice."""

    name = "toys"

    def expected(self, mixture: Mixture) -> Tensor:
        return 2 * torch.stack([weights[0] for weights in mixture.values()]).sum().double()

    def smallest(self) -> tuple[float, dict[str, str]]:
        return 0.0, {}

    def largest(self) -> tuple[float, dict[str, str]]:
        return 6.0, {}


def bilevel(draws: int = 1, **settings: Any) -> ScoreFunction:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        supernet, arch = SmallNet(running=True).double(), small_arch()
    weights = torch.optim.SGD(supernet.parameters(), lr=0.1, momentum=0.9, weight_decay=3e-2)
    relaxation = settings.pop("relaxation", Multinomial(draws))
    return ScoreFunction(Objective(supernet), arch, relaxation, weights, adam(arch.parameters()), **settings)


def enumerated(searched: ScoreFunction) -> list[Tensor]:
    """d/dalpha of the expected loss over all one-hot mixtures, by autograd through their probabilities."""
    layout, relaxation = searched.arch.layout, searched.relaxation
    rows = [(table, row) for table in layout.rows for row in range(layout.shape(table)[0])]
    means = {table: relaxation.mean(alphas) for table, alphas in searched.arch.tables.items()}
    expected = torch.zeros((), dtype=torch.float64)
    constants = searched.objective.constants()
    for picks in itertools.product(*(range(layout.shape(table)[1]) for table, _ in rows)):
        tables = {table: torch.zeros(layout.shape(table), dtype=torch.float64) for table in layout.rows}
        probability = torch.ones((), dtype=torch.float64)
        for (table, row), pick in zip(rows, picks, strict=True):
            tables[table][row, pick] = 1.0
            probability = probability * means[table][row, pick]
        mixture = Mixture(ChoiceTables(layout.choices.values()), tables)
        loss, _ = searched.objective(VALID, mixture, constants)
        if searched.budget is not None:
            loss = searched.budget.shaped(loss, searched.budget.cost.expected(mixture))
        expected = expected + probability * loss.detach()
    return list(torch.autograd.grad(expected, list(searched.arch.parameters())))


BUDGET = Penalty(Double(), weight=3.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("baseline", "samples", "budget"),
    [
        ("none", 1, None),
        ("leave_one_out", 4, BUDGET),
        *slow(("none", 4, None), ("leave_one_out", 4, None), ("none", 1, BUDGET), ("none", 4, BUDGET)),
    ],
)
def test_its_mean_is_the_gradient_of_the_expected_loss(baseline: str, samples: int, budget: Any) -> None:
    torch.manual_seed(1)
    searched = bilevel(baseline=baseline, samples=samples, budget=budget)
    searched.objective.supernet.eval()
    wanted = enumerated(searched)
    drawn: list[list[Tensor]] = []
    for _ in range(1200 // samples):
        searched.set_alpha_gradients(TRAIN, VALID)
        drawn.append([alphas.grad.clone() for alphas in searched.arch.parameters()])
    for found, exact in zip(zip(*drawn, strict=True), wanted, strict=True):
        stacked = torch.stack(found)
        error = stacked.std(dim=0) / len(stacked) ** 0.5
        assert ((stacked.mean(dim=0) - exact).abs() < 4.5 * error).all()


def test_a_baseline_lowers_the_variance() -> None:
    spread = {}
    for baseline in ("none", "leave_one_out"):
        torch.manual_seed(2)
        searched, found = bilevel(baseline=baseline, samples=4), []
        for _ in range(100):
            searched.set_alpha_gradients(TRAIN, VALID)
            found.append(torch.cat([alphas.grad.flatten() for alphas in searched.arch.parameters()]))
        spread[baseline] = float(torch.stack(found).var(dim=0).sum())
    assert spread["leave_one_out"] < 0.5 * spread["none"]


def test_an_architecture_step_leaves_the_network_as_it_was_and_moves_alphas() -> None:
    searched = bilevel(draws=8)
    searched.weight_step(TRAIN)
    before, alphas = snapshot(searched), copy.deepcopy(searched.arch.state_dict())
    searched.arch_step(TRAIN, VALID)
    assert_same_bits(snapshot(searched), before)
    assert all(not torch.equal(alphas[name], now) for name, now in searched.arch.state_dict().items())


def test_the_formula_of_the_paper() -> None:
    """g = 1/S sum L_s c_s - mean(L) n softmax(alpha), without a baseline, on the losses of the very draws."""
    searched, samples, draws = bilevel(draws=3, baseline="none", samples=5), 5, 3
    torch.manual_seed(3)
    with torch.no_grad():
        mixtures = [searched.arch.mixture(searched.drawn.sample) for _ in range(samples)]
        losses = [searched.objective(VALID, m, searched.objective.constants())[0] for m in mixtures]
    torch.manual_seed(3)
    searched.set_alpha_gradients(TRAIN, VALID)
    for name, alphas in searched.arch.tables.items():
        counts = [draws * mixture.tables[name] for mixture in mixtures]
        first = torch.stack([loss * c for loss, c in zip(losses, counts, strict=True)]).mean(dim=0)
        wanted = first - torch.stack(losses).mean() * draws * alphas.detach().softmax(dim=-1)
        assert_close(alphas.grad, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"relaxation": Softmax()},
            "^the score function needs mixtures that are drawn, such as those of Multinomial; Soft",
        ),
        ({"baseline": "mean"}, "^method.bilevel.baseline is 'mean'; give leave_one_out or none$"),
        ({"samples": 1}, "^method.bilevel.samples is 1; with baseline=leave_one_out give at least 2$"),
        ({"samples": 0, "baseline": "none"}, "^method.bilevel.samples is 0; with baseline=none give at least 1$"),
    ],
)
def test_mistakes_are_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bilevel(**settings)
