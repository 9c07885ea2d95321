"""The softmax of DARTS."""

import math

import pytest
import torch
from torch.testing import assert_close

from nas.relaxation import Softmax
from tests.contracts import EXACT, RelaxationContract


class TestSoftmax(RelaxationContract):
    @pytest.fixture
    def relaxation(self) -> Softmax:
        return Softmax()


def test_weights_are_exponentials_over_their_sum() -> None:
    alphas = torch.tensor([[0.0, math.log(2.0), math.log(5.0)], [3.0, 3.0, 3.0]], dtype=torch.float64)
    wanted = torch.tensor([[1 / 8, 2 / 8, 5 / 8], [1 / 3, 1 / 3, 1 / 3]], dtype=torch.float64)
    assert_close(Softmax().sample(alphas), wanted, **EXACT)
    assert_close(Softmax().mean(alphas), wanted, **EXACT)


def test_a_constant_added_to_a_row_changes_nothing() -> None:
    alphas = torch.randn(4, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    shifted = alphas + torch.tensor([[-30.0], [0.5], [0.0], [700.0]], dtype=torch.float64)
    assert_close(Softmax().mean(shifted), Softmax().mean(alphas), **EXACT)


def test_the_gradient_is_that_of_the_softmax() -> None:
    alphas = torch.randn(8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = alphas.softmax(dim=0)
    wanted = torch.diag(weights) - torch.outer(weights, weights)  # dw_o/dalpha_p = w_o (1[o = p] - w_p)
    found = torch.autograd.functional.jacobian(lambda a: Softmax().sample(a[None])[0], alphas)
    assert_close(found, wanted, **EXACT)


def test_it_has_no_temperature() -> None:
    relaxation, alphas = Softmax(), torch.tensor([[0.0, 1.0]])
    before = relaxation.sample(alphas)
    relaxation.anneal(1.0)
    assert torch.equal(relaxation.sample(alphas), before)
