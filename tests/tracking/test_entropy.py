import math

import pytest
import torch

from nas.tracking import entropy


def test_closed_forms():
    weights = torch.tensor(
        [[0.25, 0.25, 0.25, 0.25], [1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.5, 0.25, 0.125, 0.125]], dtype=torch.float64
    )
    expected = torch.tensor([math.log(4), 0, math.log(2), 1.75 * math.log(2)], dtype=torch.float64)
    torch.testing.assert_close(entropy(weights), expected, rtol=1e-15, atol=0)


@pytest.mark.parametrize("candidates", [1, 2, 7, 1000])
def test_equal_candidates_give_log_n(candidates):
    value = entropy(torch.full((3, candidates), 1 / candidates, dtype=torch.float64))
    torch.testing.assert_close(value, torch.full_like(value, math.log(candidates)), rtol=1e-12, atol=1e-12)


def test_softmax_agrees_with_an_independent_form():
    alpha = torch.randn(5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = alpha.softmax(dim=-1)
    expected = torch.distributions.Categorical(logits=alpha).entropy()
    torch.testing.assert_close(entropy(weights), expected, rtol=1e-12, atol=0)


def test_weights_that_do_not_sum_to_one_are_normalised_by_row():
    weights = torch.tensor([[0.9, 0.9, 0.9], [0.2, 0.0, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(entropy(weights), torch.tensor([math.log(3), 0.0, 0.0]))


def test_no_minus_zero_and_float32_is_kept():
    value = entropy(torch.tensor([[0.0, 1.0]]))
    assert value.dtype == torch.float32
    assert value.tolist() == [0.0]
