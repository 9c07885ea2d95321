"""Drop path."""

import math

import pytest
import torch
from torch import nn

from nas.space import DropPath, set_drop_path
from tests.contracts import random_images


@pytest.mark.parametrize("probability", [0.1, 0.3, 0.8])
def test_an_image_is_dropped_or_scaled_as_a_whole(probability: float) -> None:
    torch.manual_seed(0)
    x = random_images(64, 3, 2, 2)
    y = DropPath(probability)(x)
    dropped = [torch.equal(image, torch.zeros_like(image)) for image in y]
    for image, given, is_dropped in zip(y, x, dropped, strict=True):
        if not is_dropped:
            torch.testing.assert_close(image, given / (1 - probability), rtol=1e-12, atol=0)
    assert 0 < sum(dropped) < 64


@pytest.mark.parametrize("probability", [0.1, 0.3, 0.8])
def test_the_expectation_is_the_input(probability: float) -> None:
    torch.manual_seed(0)
    count = 20_000
    y = DropPath(probability)(torch.ones(count, 1, 1, 1, dtype=torch.float64))
    deviation = math.sqrt(probability / (1 - probability) / count)  # var(m / (1 - p)) = p / (1 - p)
    assert abs(y.mean().item() - 1.0) < 5 * deviation
    assert abs((y == 0).double().mean().item() - probability) < 5 * math.sqrt(probability * (1 - probability) / count)


def test_it_does_nothing_at_probability_zero_and_in_evaluation() -> None:
    x = random_images(4, 2, 3, 3)
    random_state = torch.get_rng_state()
    assert torch.equal(DropPath(0.0)(x), x)
    assert torch.equal(DropPath(0.9).eval()(x), x)
    assert torch.equal(torch.get_rng_state(), random_state)


def test_the_input_is_not_written_to_and_the_gradient_is_the_mask() -> None:
    torch.manual_seed(0)
    x = random_images(16, 2, 3, 3).requires_grad_()
    given = x.detach().clone()
    y = DropPath(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.detach(), given)
    kept = y.flatten(1).ne(0).any(dim=1).double()
    assert 0 < kept.sum() < 16
    assert torch.equal(x.grad, (2 * kept).view(-1, 1, 1, 1).expand_as(x))


def test_setting_reaches_every_drop_path_and_nothing_else() -> None:
    network = nn.Sequential(DropPath(), nn.Sequential(nn.Dropout(0.5), DropPath(0.1)))
    set_drop_path(network, 0.25)
    assert [module.probability for module in network.modules() if isinstance(module, DropPath)] == [0.25, 0.25]
    assert network[1][0].p == 0.5


@pytest.mark.parametrize("probability", [-0.1, 1.0, 1.5])
def test_probabilities_that_drop_path_cannot_have(probability: float) -> None:
    with pytest.raises(ValueError, match=r"give one in \[0, 1\)"):
        DropPath(probability)
    with pytest.raises(ValueError, match=r"give one in \[0, 1\)"):
        set_drop_path(nn.Sequential(DropPath()), probability)
