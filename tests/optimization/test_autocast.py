"""bfloat16: the loss of a supernet stays near float32, and alphas stay float32.

bfloat16 keeps 8 bits of mantissa, a relative rounding error of 2^-9 = 0.2 % an operation.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from nas.architecture import ArchParameters
from nas.optimization import BilevelOptimizer, FirstOrder, Objective, SecondOrder, SingleLevel
from nas.relaxation import Softmax
from nas.space import SearchSpace
from tests.optimization.toys import TINY, adam, images, small_space, tiny_cells

TRAIN, VALID = images(1, 32), images(2, 32)


def bilevel_of(space: SearchSpace, kind: Any, autocast: torch.dtype | None) -> BilevelOptimizer:
    torch.manual_seed(0)
    supernet, arch = space.supernet(TINY), ArchParameters(space.choices, scale=0.5)
    weight_optimizer = torch.optim.SGD(supernet.parameters(), lr=0.05, momentum=0.9)
    objective = Objective(supernet, autocast=autocast)
    return kind(objective, arch, Softmax(), weight_optimizer, adam(arch.parameters()))


@pytest.mark.parametrize("space", [small_space(), tiny_cells(num_nodes=2)], ids=["small", "cells"])
def test_loss_is_near_that_of_float32(space: SearchSpace) -> None:
    exact, rounded = (bilevel_of(space, FirstOrder, dtype) for dtype in (None, torch.bfloat16))
    wanted, _ = exact.objective(TRAIN, exact.mean_mixture())
    loss, logits = rounded.objective(TRAIN, rounded.mean_mixture())
    assert loss.dtype == logits.dtype == torch.float32
    assert float(loss.detach()) == pytest.approx(float(wanted.detach()), rel=0.02)
    assert not torch.equal(loss, wanted)


@pytest.mark.parametrize("kind", [FirstOrder, SingleLevel])
@pytest.mark.parametrize(
    ("space", "tolerance"), [(small_space(), 0.01), (tiny_cells(num_nodes=2), 0.5)], ids=["small", "cells"]
)
def test_gradient_of_the_alphas_is_near_that_of_float32(space: SearchSpace, tolerance: float, kind: Any) -> None:
    """Measured: 0.1 % in two layers; 20 to 30 % in 20 layers of 2 channels, whose batch norms see 2x2 images."""
    gradients: list[Tensor] = []
    for dtype in (None, torch.bfloat16):
        bilevel = bilevel_of(space, kind, dtype)
        bilevel.arch_step(TRAIN, VALID)
        gradients.append(torch.cat([alphas.grad.flatten() for alphas in bilevel.arch.parameters()]))
    assert gradients[1].dtype == torch.float32
    assert (gradients[1] - gradients[0]).norm() < tolerance * gradients[0].norm()


@pytest.mark.parametrize("kind", [FirstOrder, SecondOrder, SingleLevel])
def test_parameters_and_state_stay_float32(kind: Any) -> None:
    bilevel = bilevel_of(tiny_cells(num_nodes=2), kind, torch.bfloat16)
    for _ in range(2):
        bilevel.arch_step(TRAIN, VALID)
        bilevel.weight_step(TRAIN)
    kept: list[Tensor] = [*bilevel.arch.parameters(), *bilevel.objective.supernet.parameters()]
    for optimizer in (bilevel.arch_optimizer, bilevel.weight_optimizer):
        kept += [value for state in optimizer.state.values() for value in state.values()]
    assert {value.dtype for value in kept} == {torch.float32}
    assert all(value.isfinite().all() for value in kept)


def test_second_order_is_computed_in_float32() -> None:
    """Its finite difference shifts all weights by 0.01 together, which bfloat16 rounds away."""
    gradients = []
    for dtype in (None, torch.bfloat16):
        bilevel = bilevel_of(tiny_cells(num_nodes=2), SecondOrder, dtype)
        bilevel.arch_step(TRAIN, VALID)
        gradients.append(torch.cat([alphas.grad.flatten() for alphas in bilevel.arch.parameters()]))
    assert torch.equal(*gradients)
