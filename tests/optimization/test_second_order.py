"""The unrolled gradient against exact autograd through the step of SGD, and against ways to get it wrong."""

import copy
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.architecture import ArchParameters, Choice, Mixture
from nas.optimization import Exponential, FirstOrder, Objective, SecondOrder
from nas.optimization.objective import Batch
from nas.optimization.schedule import set_rate
from nas.relaxation import Softmax
from tests.marks import slow
from tests.optimization.contracts import TRAIN, VALID
from tests.optimization.toys import Identity, SmallNet, small_arch

RATE = 0.3


def bilevel(
    *, running: bool, epsilon: float = 0.01, weight_steps: int = 0, rate: float = RATE, **sgd: float | bool
) -> SecondOrder:
    torch.manual_seed(0)
    supernet, arch = SmallNet(running=running).double(), small_arch()
    weight_optimizer = torch.optim.SGD(supernet.parameters(), lr=rate, **sgd)
    arch_optimizer = torch.optim.SGD(arch.parameters(), lr=1.0)
    second = SecondOrder(Objective(supernet), arch, Softmax(), weight_optimizer, arch_optimizer, epsilon=epsilon)
    for _ in range(weight_steps):
        second.weight_step(VALID)
    return second


def loss_at(second: SecondOrder, weights: dict[str, Tensor], mixture: Mixture, batch: Batch) -> Tensor:
    """L(weights, mixture; batch) on copies of the buffers, without the code under test."""
    supernet = second.objective.supernet
    buffers = {name: buffer.clone() for name, buffer in supernet.named_buffers()}
    return nn.functional.cross_entropy(functional_call(supernet, {**weights, **buffers}, (batch[0], mixture)), batch[1])


def exact(second: SecondOrder, mixture: Mixture) -> list[Tensor]:
    """dL_valid(w'(m), m)/dm by autograd through w' = w - xi * (mu * buffer + g(m) + lambda * w), or Nesterov's form."""
    group, state = second.weight_optimizer.param_groups[0], second.weight_optimizer.state
    weights = dict(second.objective.supernet.named_parameters())
    slopes = torch.autograd.grad(
        loss_at(second, weights, mixture, TRAIN), list(weights.values()), create_graph=True, materialize_grads=True
    )
    unrolled = {}
    for (name, weight), slope in zip(weights.items(), slopes, strict=True):
        slope = slope + group["weight_decay"] * weight
        buffer = slope
        if "momentum_buffer" in state.get(weight, {}):
            buffer = group["momentum"] * state[weight]["momentum_buffer"] + slope
        step = slope + group["momentum"] * buffer if group["nesterov"] else buffer
        unrolled[name] = weight - group["lr"] * step
    return list(torch.autograd.grad(loss_at(second, unrolled, mixture, VALID), list(mixture.tables.values())))


def direct(second: SecondOrder, mixture: Mixture) -> list[Tensor]:
    """dL_valid(w, m)/dm at the present weights."""
    weights = dict(second.objective.supernet.named_parameters())
    return list(torch.autograd.grad(loss_at(second, weights, mixture, VALID), list(mixture.tables.values())))


def leaves(second: SecondOrder) -> Mixture:
    return second.arch.mixture(Softmax().sample).as_leaves()


def error(got: Sequence[Tensor], wanted: Sequence[Tensor], of: Sequence[Tensor]) -> float:
    """|got - wanted| / |wanted - of| over all tables: relative to what the second order adds."""
    difference = torch.cat([(a - b).flatten() for a, b in zip(got, wanted, strict=True)])
    added = torch.cat([(a - b).flatten() for a, b in zip(wanted, of, strict=True)])
    return float(difference.norm() / added.norm())


SETTINGS = {
    "plain": {},
    "decay": {"weight_decay": 0.1},
    "momentum, no buffer yet": {"momentum": 0.9, "weight_decay": 0.1},
    "momentum": {"momentum": 0.9, "weight_decay": 0.1, "weight_steps": 3},
    "nesterov, no buffer yet": {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True},
    "nesterov": {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True, "weight_steps": 3},
}


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("name", SETTINGS)
def test_agrees_with_autograd_and_the_error_falls_with_the_square_of_epsilon(name: str, running: bool) -> None:
    errors = []
    for epsilon in (0.1, 0.01, 0.001):
        second = bilevel(running=running, epsilon=epsilon, **SETTINGS[name])
        mixture = leaves(second)
        wanted, first = exact(second, mixture), direct(second, mixture)
        errors.append(error(second.mixture_gradient(mixture, TRAIN, VALID)[1], wanted, first))
    assert error(wanted, first, [0 * table for table in first]) > 0.05  # what is compared is no trifle
    assert errors[1] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(100, rel=0.1)


def evaluations(second: SecondOrder) -> list[tuple[Tensor, Tensor]]:
    """(images, all weights in one vector) of every forward pass of one gradient."""
    supernet, seen = second.objective.supernet, []
    forward = supernet.forward

    def watched(x: Tensor, mixture: Mixture) -> Tensor:
        seen.append((x, nn.utils.parameters_to_vector(supernet.parameters()).detach().clone()))
        return forward(x, mixture)

    supernet.forward = watched  # type: ignore[method-assign]
    second.mixture_gradient(leaves(second), TRAIN, VALID)
    supernet.forward = forward  # type: ignore[method-assign]
    return seen


@pytest.mark.parametrize("name", SETTINGS)
def test_four_evaluations_are_at_the_weights_after_a_step_of_torch_and_on_both_sides_of_now(name: str) -> None:
    second = bilevel(running=True, epsilon=0.02, **SETTINGS[name])
    now = nn.utils.parameters_to_vector(second.objective.supernet.parameters()).detach()
    images, points = zip(*evaluations(second), strict=True)
    assert [x is VALID[0] for x in images] == [False, True, False, False]
    assert [x is TRAIN[0] for x in images] == [True, False, True, True]
    second.weight_step(TRAIN)
    stepped = nn.utils.parameters_to_vector(second.objective.supernet.parameters()).detach()
    torch.testing.assert_close(points[0], now, rtol=0, atol=0)
    torch.testing.assert_close(points[1], stepped, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close((points[2] + points[3]) / 2, now, rtol=1e-12, atol=1e-14)
    assert float((points[2] - now).norm()) == pytest.approx(0.02, rel=1e-9)  # one norm over all weights


def test_every_evaluation_starts_from_the_live_buffers() -> None:
    """A forward pass moves the running statistics that it is given; the next one must not see that."""
    second, seen = bilevel(running=True, weight_steps=1), []
    supernet = second.objective.supernet
    live, forward = copy.deepcopy(dict(supernet.named_buffers())), supernet.forward

    def watched(x: Tensor, mixture: Mixture) -> Tensor:
        seen.append(copy.deepcopy(dict(supernet.named_buffers())))
        return forward(x, mixture)

    supernet.forward = watched  # type: ignore[method-assign]
    second.arch_step(TRAIN, VALID)
    assert len(live) == 9  # three batch norms
    for buffers in seen:
        torch.testing.assert_close(buffers, live, rtol=0, atol=0)


@pytest.mark.parametrize("momentum_buffers", [False, True])
def test_architecture_step_carries_the_gradient_to_the_alphas(momentum_buffers: bool) -> None:
    second = bilevel(running=True, momentum=0.9, weight_decay=0.1, weight_steps=3 * momentum_buffers)
    tables = dict(second.arch.tables.items())
    mixture = Mixture(second.arch.layout, {name: table.softmax(dim=-1) for name, table in tables.items()})
    wanted = torch.autograd.grad(list(mixture.tables.values()), list(tables.values()), exact(second, leaves(second)))
    before = [table.detach().clone() for table in tables.values()]
    second.arch_step(TRAIN, VALID)  # SGD with rate 1: the step is the gradient
    moved = [old - table.detach() for old, table in zip(before, tables.values(), strict=True)]
    torch.testing.assert_close(moved, list(wanted), rtol=1e-4, atol=1e-7)


def test_clipping_is_no_part_of_the_unrolled_step() -> None:
    free, clipped = (bilevel(running=True, momentum=0.9, weight_steps=2) for _ in range(2))
    clipped.clip_norm = 1e-3
    gradients = [second.mixture_gradient(leaves(second), TRAIN, VALID)[1] for second in (free, clipped)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=0)


def test_rate_is_the_present_one() -> None:
    """A schedule lowers the rate of the optimizer: xi follows it."""
    late = bilevel(running=False, momentum=0.9, weight_steps=2)
    assert set_rate(late.weight_optimizer, Exponential(factor=0.1), 1, 5) == pytest.approx(0.03)
    mixture = leaves(late)
    assert error(late.mixture_gradient(mixture, TRAIN, VALID)[1], exact(late, mixture), direct(late, mixture)) < 1e-3


# the known mistakes


def finite_differences(second: SecondOrder, mixture: Mixture, mistake: str = "") -> list[Tensor]:
    """The equations written out slowly, tensor by tensor, or with one mistake in them."""
    group, state = second.weight_optimizer.param_groups[0], second.weight_optimizer.state
    rate, tables = group["lr"], list(mixture.tables.values())
    weights = {name: w.detach().clone() for name, w in second.objective.supernet.named_parameters()}

    def gradients(at: dict[str, Tensor], batch: Batch) -> tuple[dict[str, Tensor], list[Tensor]]:
        at = {name: weight.clone().requires_grad_() for name, weight in at.items()}
        slopes = torch.autograd.grad(loss_at(second, at, mixture, batch), [*at.values(), *tables])
        return dict(zip(at, slopes[: len(at)], strict=True)), list(slopes[len(at) :])

    slopes, _ = gradients(weights, TRAIN)
    unrolled = {}
    for name, parameter in second.objective.supernet.named_parameters():
        step = slopes[name]
        if mistake != "no weight decay":
            step = step + group["weight_decay"] * weights[name]
        if mistake != "no momentum":
            step = step + group["momentum"] * state[parameter]["momentum_buffer"]
        unrolled[name] = weights[name] + (rate if mistake == "virtual step uphill" else -rate) * step
    v, plain = gradients(unrolled, VALID)
    if mistake == "v at w":
        v, _ = gradients(weights, VALID)
    if mistake == "direct term at w":
        _, plain = gradients(weights, VALID)
    norm = torch.cat([one.flatten() for one in v.values()]).norm()
    epsilon = 0.01 / norm
    base = unrolled if mistake == "perturbs w'" else weights
    batch = VALID if mistake == "perturbs with the validation batch" else TRAIN
    tensorwise = mistake == "a norm for each tensor"
    shifts = {name: one * (0.01 / one.norm() if tensorwise else epsilon) for name, one in v.items()}
    _, plus = gradients({name: base[name] + shifts[name] for name in base}, batch)
    _, minus = gradients({name: base[name] - shifts[name] for name in base}, batch)
    if mistake == "/ 2 * epsilon":
        return [d - rate * (p - n) / 2 * epsilon for d, p, n in zip(plain, plus, minus, strict=True)]
    sign = 1 if mistake == "adds the second term" else -1
    return [d + sign * rate * (p - n) / (2 * epsilon) for d, p, n in zip(plain, plus, minus, strict=True)]


def trained() -> SecondOrder:
    return bilevel(running=True, momentum=0.9, weight_decay=0.1, weight_steps=3)


def test_agrees_with_the_equations_written_out_slowly() -> None:
    second = trained()
    mixture = leaves(second)
    torch.testing.assert_close(
        list(second.mixture_gradient(mixture, TRAIN, VALID)[1]),
        finite_differences(second, mixture),
        rtol=1e-9,
        atol=1e-10,
    )


@pytest.mark.parametrize(
    "mistake",
    [
        "perturbs w'",
        "/ 2 * epsilon",
        "a norm for each tensor",
        "perturbs with the validation batch",
        "direct term at w",
        "v at w",
        "no momentum",
        "no weight decay",
        "virtual step uphill",
        "adds the second term",
    ],
)
def test_known_mistake_would_be_seen(mistake: str) -> None:
    """Each is 20 times further from autograd than the 1e-3 that is allowed above."""
    second = trained()
    mixture = leaves(second)
    wanted, first = exact(second, mixture), direct(second, mixture)
    assert error(finite_differences(second, mixture, mistake), wanted, first) > 0.02
    assert error(finite_differences(second, mixture), wanted, first) < 1e-3


# the quadratic toy of DARTS, figure 2


class Toy(nn.Module):
    """logits = (L_train, L_valid) = (w^2 - 2 a w + a^2, a w - 2 a + 1); the label of a batch says which is its loss."""

    def __init__(self, w: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([w], dtype=torch.float64))

    def forward(self, x: Tensor, mixture: Mixture) -> Tensor:
        a, w = mixture["a"], self.w
        return torch.cat([w**2 - 2 * a * w + a**2, a * w - 2 * a + 1])


TRAIN_LOSS = (torch.zeros(1), torch.tensor([0]))
VALID_LOSS = (torch.zeros(1), torch.tensor([1]))


def toy(kind: type[FirstOrder] | type[SecondOrder], rate: float, arch_rate: float) -> FirstOrder | SecondOrder:
    """The toy at DARTS' start, (alpha, w) = (2, -2)."""
    arch, supernet = ArchParameters([Choice("a", ("only",))]).double(), Toy(-2.0)
    with torch.no_grad():
        arch.tables["a"].fill_(2.0)
    return kind(
        Objective(supernet, lambda logits, labels: logits[labels].sum()),
        arch,
        Identity(),
        torch.optim.SGD(supernet.parameters(), lr=rate),
        torch.optim.SGD(arch.parameters(), lr=arch_rate),
    )


def solve(bilevel: FirstOrder | SecondOrder) -> tuple[float, float]:
    """(alpha, w) where both steps stand still; the weight converges (w = alpha) before each architecture step."""
    weight, alpha = bilevel.objective.supernet.w, bilevel.arch.tables["a"]
    for _ in range(200):
        with torch.no_grad():
            weight.copy_(alpha[0])
        bilevel.arch_step(TRAIN_LOSS, VALID_LOSS)
    bilevel.weight_step(TRAIN_LOSS)
    return alpha.item(), weight.item()


def test_first_order_goes_to_the_wrong_optimum_of_the_toy() -> None:
    assert solve(toy(FirstOrder, rate=0.5, arch_rate=0.2)) == pytest.approx((2.0, 2.0), abs=1e-9)


@pytest.mark.parametrize("xi", [0.0, *slow(0.1, 0.25), 0.5, 0.7])
def test_second_order_goes_to_two_over_one_plus_two_xi(xi: float) -> None:
    fixed = 2 / (1 + 2 * xi)
    assert solve(toy(SecondOrder, rate=xi, arch_rate=0.2)) == pytest.approx((fixed, fixed), abs=1e-9)


def test_gradient_of_the_toy_at_darts_start() -> None:
    """w' = w - xi (2w - 2a) = -2 + 8 xi; dL_valid/da = w' - 2 + 2 xi a = -4 + 12 xi, at xi = 0.1: -2.8."""
    bilevel = toy(SecondOrder, rate=0.1, arch_rate=1.0)
    bilevel.arch_step(TRAIN_LOSS, VALID_LOSS)
    assert bilevel.arch.tables["a"].item() == pytest.approx(2.0 + 2.8, abs=1e-9)


def test_alternating_single_steps_reach_the_true_optimum_of_the_toy() -> None:
    """At xi = 1/2 one step of the weight is its optimum, so that the unrolled gradient is the exact one: (1, 1)."""
    bilevel = toy(SecondOrder, rate=0.5, arch_rate=0.1)
    for _ in range(300):
        bilevel.arch_step(TRAIN_LOSS, VALID_LOSS)
        bilevel.weight_step(TRAIN_LOSS)
    assert (bilevel.arch.tables["a"].item(), bilevel.objective.supernet.w.item()) == pytest.approx((1, 1), abs=1e-9)


def test_vanishing_validation_gradient_leaves_the_direct_term() -> None:
    """At alpha = 0 the gradient v = dL_valid/dw' = alpha is zero: no direction to perturb, and no NaN."""
    bilevel = toy(SecondOrder, rate=0.1, arch_rate=1.0)
    with torch.no_grad():
        bilevel.arch.tables["a"].zero_()
    bilevel.arch_step(TRAIN_LOSS, VALID_LOSS)
    assert bilevel.arch.tables["a"].item() == pytest.approx(-(-2 - 0.1 * 2 * -2 - 2), abs=1e-12)  # -(w' - 2)
