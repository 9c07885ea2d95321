"""Budgets: their losses in closed form, the chain rule, and derivation within a limit."""

import copy
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.architecture import ArchParameters, Choice, ChoiceTables, Mixture
from nas.costs import CostModel
from nas.optimization import (
    BilevelOptimizer,
    Budget,
    FirstOrder,
    HomogeneousLine,
    Objective,
    Penalty,
    SecondOrder,
    SingleLevel,
    Target,
)
from nas.relaxation import Softmax
from nas.space import ModuleSpace, Skeleton
from tests.optimization.budgets import costed_space, priced, term
from tests.optimization.contracts import TRAIN, VALID
from tests.optimization.toys import SmallNet, small_arch

COST = priced({"a/op": [10.0, 20.0, 40.0], "b/op": [1.0, 2.0]}, constant=9.0)  # 20 to 51


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def at(budget: Budget, loss: float, cost: float) -> tuple[float, float, float]:
    """s, ds/dL and ds/dC."""
    loss_, cost_ = number(loss), number(cost)
    shaped = budget.shaped(loss_, cost_)
    slopes = torch.autograd.grad(shaped, (loss_, cost_), materialize_grads=True)
    return float(shaped.detach()), float(slopes[0]), float(slopes[1])


# penalty


def test_a_penalty_is_a_power_of_the_share() -> None:
    square, line = Penalty(COST, 40.0, weight=3.0, power=2.0), Penalty(COST, weight=2.0, power=1.0)
    assert at(square, 0.5, 20.0) == pytest.approx((0.5 + 3 / 4, 1, 3 * 2 * 20 / 1600))
    assert at(line, 0.5, 25.5) == pytest.approx((0.5 + 1, 1, 2 / 51))


@pytest.mark.parametrize("name", ["weight", "power"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_a_penalty_refuses_what_is_not_positive(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^budget\.loss\.{name} is {value}; give a positive number$"):
        Penalty(COST, **{name: value})


# target


def test_a_target_is_the_augmented_lagrangian() -> None:
    budget = Target(COST, 40.0, rate=0.5, damping=2.0)
    assert at(budget, 0.5, 30.0) == (0.5, 1.0, 0.0)  # within it, with no multiplier yet
    assert at(budget, 0.5, 60.0) == pytest.approx((0.5 + 2 * 0.5**2 / 2, 1, 2 * 0.5 / 40))
    budget.learn(torch.tensor(60.0))
    assert float(budget.multiplier) == 0.5 * 0.5
    # l g + damping g^2 / 2, and at the bottom, from g = -l / damping on, -l^2 / (2 damping)
    assert at(budget, 0.5, 60.0) == pytest.approx((0.5 + 0.25 * 0.5 + 0.5**2, 1, (0.25 + 2 * 0.5) / 40))
    assert at(budget, 0.5, 38.0) == pytest.approx((0.5 - 0.25 * 0.05 + 0.05**2, 1, (0.25 - 2 * 0.05) / 40))
    assert at(budget, 0.5, 20.0) == pytest.approx((0.5 - 0.25**2 / 4, 1, 0))
    budget.learn(torch.tensor(30.0))
    assert float(budget.multiplier) == 0.25 - 0.5 * 0.25
    budget.learn(torch.tensor(20.0))
    assert float(budget.multiplier) == 0
    assert budget.state_dict() == {"multiplier": budget.multiplier}


@pytest.mark.parametrize("name", ["rate", "damping"])
def test_a_target_refuses_what_is_not_positive(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^budget\.loss\.{name} is -0\.5; give a positive number$"):
        Target(COST, 40.0, **{name: -0.5})


def test_a_target_holds_one_of_two_costs() -> None:
    with pytest.raises(ValueError, match=r"^budget\.loss\.held is 'mean'; give likeliest or expected$"):
        Target(COST, 40.0, held="mean")


def test_a_target_needs_an_amount() -> None:
    with pytest.raises(ValueError, match=r"^budget=target needs an amount, such as budget\.macs=0\.25x, not 'any'$"):
        Target(COST, None)


# homogeneous line

# Zur et al., 2019: (MACs, training loss) of ResNet-20 at 13 widths on CIFAR-10, as shipped with the authors' code
CALIBRATION = [
    (2_633_728, 0.57666),
    (4_080_640, 0.47654),
    (5_842_944, 0.40270),
    (7_920_640, 0.32552),
    (10_313_728, 0.32099),
    (13_022_208, 0.22881),
    (16_046_080, 0.18923),
    (19_385_344, 0.15152),
    (23_040_000, 0.15858),
    (27_010_048, 0.10093),
    (31_295_488, 0.07781),
    (35_896_320, 0.06518),
    (40_812_544, 0.08020),
]


@pytest.mark.parametrize(("r", "wanted", "slope"), [(0.0, 0.1, None), (-0.1, 0.09, 0.1), (0.1, 0.2, 1.0)])
def test_the_homogeneous_line_rewards_what_beats_it(r: float, wanted: float, slope: float | None) -> None:
    budget = HomogeneousLine(COST, points=CALIBRATION)
    for cost, expected in CALIBRATION:
        shaped, of_loss, _ = at(budget, expected * (1 + r), cost)
        assert shaped == pytest.approx(wanted, abs=1e-12)
        if slope is not None:
            assert of_loss == pytest.approx(slope / expected)


def test_between_points_the_line_is_straight_and_outside_it_is_level() -> None:
    budget = HomogeneousLine(COST, points=list(reversed(CALIBRATION)))
    for (x0, y0), (x1, y1) in itertools.pairwise(CALIBRATION):
        for share in (0.25, 0.5, 0.9):
            cost = number(x0 + share * (x1 - x0))
            line = budget.line(cost)
            assert float(line.detach()) == pytest.approx(y0 + share * (y1 - y0), rel=1e-12)
            (slope,) = torch.autograd.grad(line, cost)
            assert float(slope) == pytest.approx((y1 - y0) / (x1 - x0), rel=1e-9)
    for outside, level in ((1e6, 0.57666), (1e8, 0.08020)):
        cost = number(outside)
        line = budget.line(cost)
        assert float(line.detach()) == pytest.approx(level, rel=1e-12)
        assert torch.autograd.grad(line, cost)[0] == 0


def test_where_the_line_rises_cheaper_is_worth_less() -> None:
    """The noise of the calibration, .6875 to .75 and .9375 to 1: the loss asks for the dearer network there."""
    budget = HomogeneousLine(COST, points=CALIBRATION)
    rising = [cost for cost in torch.linspace(3e6, 4e7, 200).tolist() if at(budget, 0.2, cost)[2] < 0]
    assert rising
    assert all(19_385_344 <= cost <= 23_040_000 or cost >= 35_896_320 for cost in rising)


def test_points_of_equal_cost_are_one() -> None:
    budget = HomogeneousLine(COST, points=[(1, 4.0), (2, 1.0), (1, 2.0)])
    assert budget.costs.tolist() == [1, 2]
    assert budget.losses.tolist() == [3, 1]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], "two different costs; it was given 0"),
        ([(1, 2.0), (1, 3.0)], "two different costs; it was given 1"),
        ([(1, 2.0), (2, 0.0)], r"\(2, 0\.0\) is no point of a homogeneous line"),
        ([(1, math.nan), (2, 1.0)], r"\(1, nan\) is no point"),
        ([(math.inf, 1.0), (2, 1.0)], r"\(inf, 1\.0\) is no point"),
    ],
)
def test_a_homogeneous_line_needs_points(points: list[tuple[float, float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HomogeneousLine(COST, points=points)


def test_a_homogeneous_line_limits_nothing_by_itself() -> None:
    with pytest.raises(
        ValueError, match=r"limits no cost unless budget\.hard=true: add that, or give budget\.macs=any"
    ):
        HomogeneousLine(COST, 40.0, points=CALIBRATION)
    assert HomogeneousLine(COST, 40.0, hard=True, points=CALIBRATION).limit == 40


# the limit


@pytest.mark.parametrize("make", [Penalty, Target])
def test_a_limit_below_the_smallest_cost_says_what_that_is(make: Callable[..., Budget]) -> None:
    wanted = r"^the budget of 19 macs cannot be met: the smallest possible cost in this space is 20 macs; give at least"
    with pytest.raises(ValueError, match=wanted):
        make(COST, 19.0)
    assert make(COST, 20.0).limit == 20


def test_a_hard_budget_needs_a_limit() -> None:
    with pytest.raises(ValueError, match=r"^budget\.hard=true needs a limit, such as budget\.macs=0\.25x, not 'any'$"):
        Penalty(COST, hard=True)


# the chain rule

SMALL = CostModel(
    "macs",
    "macs",
    small_arch().layout.choices,
    [
        term(2.0),
        term([9.0, 1.0, 2.0], "first/op"),
        term([[6.0, 1.0], [2.0, 5.0], [1.0, 3.0]], "second/op", "gate/op"),
    ],
)
BUDGETS: dict[str, Callable[[], Budget]] = {
    "penalty": lambda: Penalty(SMALL, weight=1.5),
    "target": lambda: Target(SMALL, 6.0, rate=0.5, held="expected"),
    "target, likeliest": lambda: Target(SMALL, 6.0, rate=0.5),
    "line, above it": lambda: HomogeneousLine(SMALL, points=[(4, 0.9), (18, 0.4)]),
    "line, below it": lambda: HomogeneousLine(SMALL, points=[(4, 9.0), (18, 4.0)]),
}


def stepped(kind: Any, budget: Budget | None, *, rate: float = 0.05) -> BilevelOptimizer:
    """A bilevel optimizer after an architecture step of rate 0: alphas keep their gradient."""
    torch.manual_seed(0)
    supernet, arch = SmallNet().double(), small_arch()
    optimizer = torch.optim.SGD(supernet.parameters(), lr=rate)
    alphas = torch.optim.SGD(arch.parameters(), lr=0.0)
    bilevel: BilevelOptimizer = kind(Objective(supernet), arch, Softmax(), optimizer, alphas, budget=budget)
    bilevel.arch_step(TRAIN, VALID)
    return bilevel


def unrolled_loss(supernet: nn.Module, mixture: Mixture, rate: float) -> Tensor:
    """L_valid at w - rate dL_train(w, m)/dw, through which autograd goes."""
    weights = dict(supernet.named_parameters())
    call = torch.func.functional_call

    def loss(at: dict[str, Tensor], batch: Any) -> Tensor:
        return nn.functional.cross_entropy(call(supernet, at, (batch[0], mixture)), batch[1])

    slopes = torch.autograd.grad(loss(weights, TRAIN), list(weights.values()), create_graph=True)
    return loss({name: w - rate * s for (name, w), s in zip(weights.items(), slopes, strict=True)}, VALID)


def exact_cost_of_the_largest_weights(mixture: Mixture) -> float:
    return SMALL.exact({name: SMALL.choices[name].candidates[int(mixture[name].argmax())] for name in mixture})


@pytest.mark.parametrize("name", BUDGETS)
@pytest.mark.parametrize(("kind", "rate"), [(FirstOrder, 0.0), (SingleLevel, 0.0), (SecondOrder, 0.05)])
def test_the_gradient_is_that_of_the_shaped_loss(kind: Any, rate: float, name: str) -> None:
    """Against autograd straight through s(L(m), C(m))."""
    bilevel = stepped(kind, BUDGETS[name](), rate=rate)
    arch = copy.deepcopy(bilevel.arch)
    mixture = arch.mixture(Softmax().sample)
    supernet = bilevel.objective.supernet
    if kind is SecondOrder:
        loss = unrolled_loss(supernet, mixture, rate)
    else:
        batch = VALID if kind is FirstOrder else TRAIN
        loss = nn.functional.cross_entropy(supernet(batch[0], mixture), batch[1])
    cost = SMALL.expected(mixture)
    if name == "target, likeliest":
        cost = cost + exact_cost_of_the_largest_weights(mixture) - cost.detach()
    shaped = BUDGETS[name]().shaped(loss, cost)
    wanted = torch.autograd.grad(shaped, list(arch.parameters()))
    found = [alphas.grad for alphas in bilevel.arch.parameters()]
    exact = {"rtol": 1e-10, "atol": 1e-12} if kind is not SecondOrder else {"rtol": 1e-3, "atol": 1e-6}
    torch.testing.assert_close(found, list(wanted), **exact)
    plain = [alphas.grad for alphas in stepped(kind, None, rate=rate).arch.parameters()]
    assert all((a - b).norm() > 0.01 * b.norm() for a, b in zip(found, plain, strict=True))


@pytest.mark.parametrize("name", ["target", "target, likeliest"])
def test_the_budget_learns_from_the_mixture_of_the_step(name: str) -> None:
    bilevel = stepped(FirstOrder, BUDGETS[name]())
    mixture = bilevel.mean_mixture()
    cost = float(SMALL.expected(mixture)) if name == "target" else exact_cost_of_the_largest_weights(mixture)
    over = cost / 6 - 1
    assert bilevel.budget is not None
    assert over > 0
    assert float(bilevel.budget.state_dict()["multiplier"]) == pytest.approx(0.5 * over, rel=1e-12)


def test_float32_alphas_get_float32_gradients() -> None:
    budget = Penalty(COST)
    layout = ChoiceTables([Choice("a/op", (0, 1, 2)), Choice("b/op", (0, 1))])
    tables = {"a/op": torch.full((1, 3), 1 / 3), "b/op": torch.full((1, 2), 0.5)}
    mixture = Mixture(layout, tables).as_leaves()
    found = budget.gradient(mixture, torch.tensor(0.5), [torch.zeros(1, 3), torch.zeros(1, 2)])
    assert [one.dtype for one in found] == [torch.float32] * 2
    expected = 9 + 70 / 3 + 1.5
    assert found[0].tolist()[0] == pytest.approx([2 * expected * cost / 51**2 for cost in (10, 20, 40)])


# derivation


def random_mixture(space: ModuleSpace, seed: int) -> Mixture:
    """Of alphas that rather like the later, dearer candidates."""
    arch = ArchParameters(space.choices, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for alphas in arch.parameters():
            alphas.mul_(1000).add_(torch.arange(3.0))
        return arch.mixture(Softmax().mean)


@pytest.mark.parametrize("seed", range(5))
def test_a_hard_budget_derives_the_likeliest_genotype_within_it(seed: int) -> None:
    space, skeleton = costed_space(), Skeleton(in_channels=1, image_size=(6, 6), num_classes=3)
    cost, mixture = space.cost("params", skeleton), random_mixture(costed_space(), seed)
    sizes, found = [cost.smallest()[0], cost.largest()[0]], []
    for limit in torch.linspace(sizes[0], sizes[1], 7).tolist():
        genotype = Target(cost, limit, hard=True).derive(space, mixture)
        within = []
        for picks in itertools.product(*(choice.candidates for choice in space.choices)):
            decisions = dict(zip((choice.name for choice in space.choices), picks, strict=True))
            likelihood = math.prod(
                float(mixture[choice.name][choice.index(decisions[choice.name])]) for choice in space.choices
            )
            if cost.exact(decisions) <= limit:
                within.append((likelihood, decisions))
        assert genotype.decisions == max(within, key=lambda pair: pair[0])[1]
        found.append(genotype)
    assert found[-1] == space.derive(mixture)
    assert len({str(one.decisions) for one in found}) > 1  # the limit decides something
    assert Target(cost, sizes[0]).derive(space, mixture) == space.derive(mixture)  # not hard


def test_a_weight_of_nothing_is_chosen_where_the_limit_asks_for_it() -> None:
    space, skeleton = costed_space(), Skeleton(in_channels=1, image_size=(6, 6), num_classes=3)
    cost = space.cost("macs", skeleton)
    largest = space.genotype(cost.largest()[1])
    budget = Target(cost, cost.smallest()[0], hard=True)
    assert budget.derive(space, space.selection(largest)).decisions == cost.smallest()[1]


def test_what_is_spent_is_the_cost_of_the_genotype() -> None:
    space, skeleton = costed_space(), Skeleton(in_channels=1, image_size=(6, 6), num_classes=3)
    cost = space.cost("macs", skeleton)
    budget, mixture = Target(cost, cost.largest()[0] / 2), random_mixture(costed_space(), 0)
    genotype = space.derive(mixture)
    assert budget.spent(space, genotype) == cost.exact(genotype.decisions)
    standing = budget.standing(space, genotype, mixture)
    assert standing == {
        "macs": cost.exact(genotype.decisions),
        "expected_macs": pytest.approx(float(cost.expected(mixture))),
        "multiplier": 0,
    }
    assert budget.standing(space, genotype) == {"macs": standing["macs"]}
    allowed = [budget.allows(space, space.genotype(one)) for one in (cost.smallest()[1], cost.largest()[1])]
    assert allowed == [True, False]
    assert Penalty(cost).allows(space, space.genotype(cost.largest()[1]))
