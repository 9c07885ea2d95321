"""Drawn mixtures."""

import math

import pytest
import torch
from torch.distributions import Multinomial as Reference
from torch.testing import assert_close

from nas.relaxation import Multinomial
from tests.contracts import EXACT, RelaxationContract


class TestOneDraw(RelaxationContract):
    @pytest.fixture
    def relaxation(self) -> Multinomial:
        return Multinomial()


class TestManyDraws(RelaxationContract):
    @pytest.fixture
    def relaxation(self) -> Multinomial:
        return Multinomial(draws=16)


@pytest.mark.parametrize("draws", [1, 5])
def test_the_score_is_that_of_the_log_likelihood(draws: int) -> None:
    """d log Mult(c; n, softmax(alpha)) / dalpha by autograd of PyTorch's own distribution."""
    torch.manual_seed(0)
    alphas = torch.randn(1, 4, dtype=torch.float64, requires_grad=True)
    relaxation = Multinomial(draws)
    weights = relaxation.sample(alphas).detach()
    Reference(draws, logits=alphas[0]).log_prob(draws * weights[0]).backward()
    assert alphas.grad is not None
    assert_close(relaxation.score(alphas.detach(), weights), alphas.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("draws", [1, 8])
def test_shares_are_counts_over_draws_and_their_mean_is_the_softmax(draws: int) -> None:
    torch.manual_seed(0)
    alphas = torch.tensor([[0.0, 1.0, -1.0]], dtype=torch.float64)
    drawn = torch.cat([Multinomial(draws).sample(alphas) for _ in range(4000)])
    assert_close(draws * drawn, (draws * drawn).round(), **EXACT)
    wanted = alphas.softmax(dim=-1)[0]
    deviation = (wanted * (1 - wanted) / (draws * len(drawn))).sqrt()
    assert ((drawn.mean(dim=0) - wanted).abs() < 4 * deviation).all()


def test_no_draws() -> None:
    with pytest.raises(ValueError, match=r"^method.relaxation.draws is 0; give at least 1$"):
        Multinomial(0)


def test_the_share_of_eight_bits_of_the_paper_is_a_start_of_alphas() -> None:
    """Zur et al., 2019: 0 for all but 8 bits, whose alpha is log(p / (1 - p) (K - 1)), p = 1 / (2K - 1)."""
    p = 1 / 7
    alphas = torch.tensor([[0.0, 0.0, 0.0, math.log(p / (1 - p) * 3)]], dtype=torch.float64)
    assert_close(Multinomial().mean(alphas), torch.tensor([[2, 2, 2, 1]], dtype=torch.float64) / 7, **EXACT)
