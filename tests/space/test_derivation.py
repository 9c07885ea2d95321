"""Rules that turn weights into decisions."""

import itertools

import pytest
import torch

from nas.architecture import Choice
from nas.space import best_candidate, largest

CHOICE = Choice("0-2/op", ("none", "pool", "skip", "conv"))


def test_the_largest_weight_wins() -> None:
    candidate, weight = best_candidate(CHOICE, torch.tensor([0.1, 0.2, 0.4, 0.3], dtype=torch.float64))
    assert candidate == "skip"
    assert weight == 0.4


def test_what_is_never_kept_is_not() -> None:
    weights = torch.tensor([0.99, 0.002, 0.003, 0.005], dtype=torch.float64)
    assert best_candidate(CHOICE, weights, never=("none",)) == ("conv", 0.005)
    assert best_candidate(CHOICE, weights, never=("none", "conv")) == ("skip", 0.003)


def test_the_first_candidate_wins_a_tie() -> None:
    assert best_candidate(CHOICE, torch.full((4,), 0.25), never=("none",)) == ("pool", 0.25)
    assert best_candidate(CHOICE, torch.zeros(4)) == ("none", 0.0)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_largest_come_first_and_the_lower_position_wins_a_tie(count: int) -> None:
    for scores in itertools.product([0.0, 0.5, 1.0], repeat=4):
        # slowly: take the first of the largest that are left, again and again
        left, wanted = dict(enumerate(scores)), []
        for _ in range(count):
            top = min(position for position, score in left.items() if score == max(left.values()))
            wanted.append(top)
            del left[top]
        assert largest(list(scores), count) == wanted
