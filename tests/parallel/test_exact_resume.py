"""A search on two ranks that is left between two steps and taken up again ends with the same bits on both."""

from typing import Any

import pytest
import torch

from nas.optimization import Feed
from nas.optimization.gradient_search import GradientSearchProcess
from nas.parallel import Ranks
from tests.optimization.contracts import assert_same_bits
from tests.optimization.test_exact_resume import ran
from tests.optimization.toys import Endless, recipe
from tests.parallel.processes import on_ranks
from tests.parallel.searches import Case, feed

CASE = Case("running statistics", gumbel=True, sync=False, steps=2, epochs=2)
"""Random mixtures, and buffers that differ between the ranks until an epoch ends."""


def started(ranks: Ranks) -> GradientSearchProcess:
    space, bilevel = CASE.bilevel(ranks)
    train, valid = (seekable(ranks, seed) for seed in (1000, 2000))
    return GradientSearchProcess(space, bilevel, train, valid, recipe(CASE.epochs, rate=0.1), warmup_epochs=0)


def seekable(ranks: Ranks, seed: int) -> Feed:
    stream = Endless(lambda: feed(ranks, seed, CASE.steps).stream)
    return Feed(stream, CASE.steps, feed(ranks, seed, CASE.steps).in_order)


def ended(process: GradientSearchProcess, stop: int | None = None) -> dict[str, Any]:
    """The state at the end, or after so many steps; it is that of both ranks."""
    _, state = ran(process, stop)
    return process.state_dict() if state is None else state


def left_and_not(ranks: Ranks) -> dict[str, Any]:
    """How the search ends: not left, and left after each of its steps; and the state at the first of them."""
    whole, states = ended(started(ranks)), [ended(started(ranks), stop) for stop in (1, 2, 3)]
    ends = []
    for state in states:
        again = started(ranks)
        torch.rand(7)
        again.load_state_dict(ranks.gathered(state)[0])  # rank 0 writes the checkpoint that both read
        ends.append(ended(again))
    return {"whole": whole, "ends": ends, "first": states[0]}


@pytest.fixture(scope="module")
def found() -> list[dict[str, Any]]:
    """On each rank."""
    return on_ranks(left_and_not)


def test_left_after_any_step_it_ends_the_same_on_both_ranks(found: list[dict[str, Any]]) -> None:
    for rank in found:
        for end in rank["ends"]:
            assert_same_bits(end, rank["whole"])
    assert_same_bits(found[1]["whole"], found[0]["whole"])


def test_the_state_is_that_of_both_ranks(found: list[dict[str, Any]]) -> None:
    assert_same_bits(found[1]["first"]["ranks"], found[0]["first"]["ranks"])
    one, other = (rank["buffers"] for rank in found[0]["first"]["ranks"])
    means = [name for name in one if name.endswith("running_mean")]
    assert means
    assert not any(torch.equal(one[name], other[name]) for name in means)
