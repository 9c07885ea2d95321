"""A mixture of operators."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from nas.supernet import MixedOp
from tests.contracts import EXACT, MixedModuleContract, random_images


def operators() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "skip": nn.Identity(),
        "conv_3x3": nn.Conv2d(2, 2, 3, padding=1),
        "tanh": nn.Tanh(),
        "avg_pool": nn.AvgPool2d(3, 1, padding=1),
    }


class TestMixedOp(MixedModuleContract):
    @pytest.fixture
    def mixed(self) -> MixedOp:
        return MixedOp(operators()).double()

    @pytest.fixture
    def x(self) -> Tensor:
        return random_images(2, 2, 3, 4)


def test_the_mixture_is_the_sum_of_weighted_outputs_number_by_number() -> None:
    mixed, x = MixedOp(operators()).double(), random_images(2, 2, 3, 4)
    weights = torch.tensor([0.5, -2.0, 0.25, 3.0], dtype=torch.float64)
    outputs = [module(x) for module in mixed.operators]
    found = mixed(x, weights)
    for place in torch.cartesian_prod(*(torch.arange(size) for size in x.shape)).tolist():
        wanted = sum(
            weight.item() * output[tuple(place)].item() for weight, output in zip(weights, outputs, strict=True)
        )
        assert found[tuple(place)].item() == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def test_gradients_of_weights_are_inner_products() -> None:
    mixed, x = MixedOp(operators()).double(), random_images(2, 2, 3, 4)
    weights = torch.rand(4, dtype=torch.float64, requires_grad=True)
    upstream = random_images(2, 2, 3, 4, seed=1)
    mixed(x, weights).backward(upstream)
    assert_close(weights.grad, torch.stack([(upstream * module(x)).sum() for module in mixed.operators]), **EXACT)


def test_the_candidates_are_the_names_in_their_order() -> None:
    mixed = MixedOp(operators())
    assert mixed.candidates == ("skip", "conv_3x3", "tanh", "avg_pool")
    assert mixed.kind == "op"
    assert isinstance(mixed.select("tanh"), nn.Tanh)


def test_no_operators_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^a mixed operation needs at least one operator; it was given none$"):
        MixedOp({})


@pytest.mark.parametrize("count", [3, 5])
def test_weights_must_be_as_many_as_operators(count: int) -> None:
    with pytest.raises(ValueError, match="zip"):
        MixedOp(operators())(torch.zeros(1, 2, 3, 3), torch.ones(count))
