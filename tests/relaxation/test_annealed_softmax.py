"""A softmax that grows sharp."""

import pytest
import torch
from torch.testing import assert_close

from nas.relaxation import AnnealedSoftmax, Softmax
from tests.contracts import EXACT, RelaxationContract


class TestAnnealedSoftmax(RelaxationContract):
    @pytest.fixture(params=[0.0, 1.0])
    def relaxation(self, request: pytest.FixtureRequest) -> AnnealedSoftmax:
        annealed = AnnealedSoftmax(last=0.5)
        annealed.anneal(request.param)
        return annealed


def test_temperatures_are_a_geometric_row() -> None:
    alphas = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    annealed = AnnealedSoftmax(first=2.0, last=0.02)
    for progress, temperature in ((0.0, 2.0), (0.5, 0.2), (1.0, 0.02)):
        annealed.anneal(progress)
        assert annealed.temperature == pytest.approx(temperature)
        assert_close(annealed.sample(alphas), (alphas / temperature).softmax(dim=-1), **EXACT)
    assert (annealed.mean(alphas).max(dim=-1).values > 0.99).all()


def test_one_temperature_is_the_softmax() -> None:
    alphas = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    annealed = AnnealedSoftmax(first=1.0, last=1.0)
    annealed.anneal(0.7)
    assert torch.equal(annealed.sample(alphas), Softmax().sample(alphas))


@pytest.mark.parametrize(("name", "value"), [("first", 0.0), ("last", -1.0)])
def test_temperatures_are_above_zero(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^method.relaxation.{name} is {value}; a temperature is above 0$"):
        AnnealedSoftmax(**{name: value})
