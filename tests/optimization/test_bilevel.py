"""The bilevel optimizers: the contract, the batches they use, their refusals, and an Adam step by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.architecture import ArchParameters, Choice, Mixture
from nas.optimization import BilevelOptimizer, FirstOrder, Objective, SecondOrder, SingleLevel
from nas.relaxation import Softmax
from tests.optimization.contracts import TRAIN, VALID, BilevelOptimizerContract, assert_same_bits
from tests.optimization.toys import Identity, SmallNet, small_arch


class TestFirstOrder(BilevelOptimizerContract):
    def make(self, *parts: Any, **settings: Any) -> BilevelOptimizer:
        return FirstOrder(*parts, **settings)


class TestSecondOrder(BilevelOptimizerContract):
    def make(self, *parts: Any, **settings: Any) -> BilevelOptimizer:
        return SecondOrder(*parts, **settings)


class TestSingleLevel(BilevelOptimizerContract):
    def make(self, *parts: Any, **settings: Any) -> BilevelOptimizer:
        return SingleLevel(*parts, **settings)


def gradient(kind: type[BilevelOptimizer], train: Any, valid: Any, *, rate: float = 0.1) -> list[Tensor]:
    """dL/dalpha of one architecture step at a fixed network."""
    torch.manual_seed(0)
    supernet, arch = SmallNet(running=True).double(), small_arch()
    weight_optimizer = torch.optim.SGD(supernet.parameters(), lr=rate, momentum=0.9, weight_decay=3e-2)
    bilevel = kind(Objective(supernet), arch, Softmax(), weight_optimizer, torch.optim.SGD(arch.parameters(), lr=0.0))
    bilevel.arch_step(train, valid)
    return [alphas.grad for alphas in arch.parameters()]


def direct(data: Any) -> list[Tensor]:
    """dL(w, softmax(alpha))/dalpha by plain autograd."""
    torch.manual_seed(0)
    supernet, arch = SmallNet(running=True).double(), small_arch()
    loss = nn.functional.cross_entropy(supernet(data[0], arch.mixture(Softmax().sample)), data[1])
    return list(torch.autograd.grad(loss, list(arch.parameters())))


POISON = object()  # whoever unpacks or reads this batch fails


def test_first_order_is_the_plain_gradient_of_the_validation_loss_and_never_reads_the_training_batch() -> None:
    torch.testing.assert_close(gradient(FirstOrder, POISON, VALID), direct(VALID), rtol=1e-12, atol=1e-15)


def test_single_level_is_the_plain_gradient_of_the_training_loss_and_never_reads_the_validation_batch() -> None:
    torch.testing.assert_close(gradient(SingleLevel, TRAIN, POISON), direct(TRAIN), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("batches", [(POISON, VALID), (TRAIN, POISON)])
def test_second_order_reads_both_batches(batches: tuple[Any, Any]) -> None:
    with pytest.raises(TypeError):
        gradient(SecondOrder, *batches)


def test_second_order_with_rate_zero_is_the_first_order_to_the_last_bit() -> None:
    assert_same_bits(gradient(SecondOrder, TRAIN, VALID, rate=0.0), gradient(FirstOrder, TRAIN, VALID))


def test_second_order_differs_from_the_first() -> None:
    second, first = gradient(SecondOrder, TRAIN, VALID), gradient(FirstOrder, TRAIN, VALID)
    assert all((a - b).norm() > 0.01 * b.norm() for a, b in zip(second, first, strict=True))


# refusals


def second_order(make_optimizer: Any) -> SecondOrder:
    supernet, arch = SmallNet(), small_arch()
    optimizer = make_optimizer(list(supernet.parameters()))
    return SecondOrder(Objective(supernet), arch, Softmax(), optimizer, torch.optim.SGD(arch.parameters(), lr=0.1))


def test_second_order_refuses_adam() -> None:
    with pytest.raises(ValueError, match=r"unrolls torch\.optim\.SGD .* the weight optimizer is Adam .*first order"):
        second_order(lambda weights: torch.optim.Adam(weights, lr=0.1))


def test_second_order_refuses_two_groups() -> None:
    with pytest.raises(ValueError, match=r"one parameter group .* SGD with 2 parameter groups; use SGD so"):
        second_order(lambda weights: torch.optim.SGD([{"params": weights[:2]}, {"params": weights[2:]}], lr=0.1))


def test_second_order_refuses_dampening() -> None:
    with pytest.raises(ValueError, match=r"neither dampening nor maximize; .* dampening=0\.5; use SGD so"):
        second_order(lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9, dampening=0.5))


def test_second_order_refuses_maximize() -> None:
    with pytest.raises(ValueError, match="maximize=True"):
        second_order(lambda weights: torch.optim.SGD(weights, lr=0.1, maximize=True))


# Adam


class Scaled(nn.Module):
    """logits = alpha * w; with the loss `logits.mean()`, dL/dalpha = w."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(-0.75, dtype=torch.float64))

    def forward(self, x: Tensor, mixture: Mixture) -> Tensor:
        return mixture["a"] * self.w


def test_three_adam_steps_by_hand() -> None:
    arch = ArchParameters([Choice("a", ("only",))]).double()
    with torch.no_grad():
        arch.tables["a"].fill_(2.0)
    supernet = Scaled()
    bilevel = FirstOrder(
        Objective(supernet, lambda logits, labels: logits.mean()),
        arch,
        Identity(),
        torch.optim.SGD(supernet.parameters(), lr=0.1),
        torch.optim.Adam(arch.parameters(), lr=0.03, betas=(0.5, 0.999), weight_decay=0.1),
    )
    alpha, mean, square = 2.0, 0.0, 0.0
    for step in (1, 2, 3):
        bilevel.arch_step(TRAIN, VALID)
        slope = -0.75 + 0.1 * alpha  # decay is part of the gradient, not decoupled
        mean, square = 0.5 * mean + 0.5 * slope, 0.999 * square + 0.001 * slope**2
        alpha -= 0.03 * (mean / (1 - 0.5**step)) / ((square / (1 - 0.999**step)) ** 0.5 + 1e-8)
        assert arch.tables["a"].item() == pytest.approx(alpha, rel=1e-12)
    assert alpha == pytest.approx(2.0 + 3 * 0.03, abs=1e-4)  # three steps of about the rate, uphill against w < 0
