"""A search on two ranks is the search of one process, and its ranks agree."""

from typing import Any

import pytest
import torch
import torch.distributed as dist

from nas.optimization import evaluate, search
from nas.parallel import DisagreementError, Ranks
from tests.optimization.toys import recipe
from tests.parallel.processes import alone, on_ranks
from tests.parallel.searches import Case, batch, calibrated, feed, run, run_all

SAME = [
    Case("darts", gumbel=True),
    Case("pc_darts", optimizer="second_order"),
    Case("recomputed", steps=1),
    Case("running statistics", epochs=3),
    Case("running statistics", optimizer="single_level"),
    Case("running statistics", budget=True, epochs=3),
    Case("running statistics", optimizer="second_order", budget=True),
    Case("no norm", sync=False, epochs=3),
    Case("no norm", optimizer="second_order", gumbel=True, sync=False),
]
"""Where two ranks compute what one process does."""
REST = [
    Case(space, execution, optimizer, epochs=2)
    for space in ("darts", "pc_darts")
    for execution in ("batched", "edge_by_edge")
    for optimizer in ("first_order", "second_order")
]
"""All that is left of spaces, executions and orders."""
APART = [Case("darts", sync=False), Case("running statistics", sync=False)]
"""Where they cannot: batch norm over the rows of each rank."""


@pytest.fixture(scope="module")
def ends() -> dict[Case, list[dict[str, Any]]]:
    """How each case ended on rank 0, on rank 1, and in one process."""
    return ended([*SAME, *APART])


def ended(cases: list[Case]) -> dict[Case, list[dict[str, Any]]]:
    """The same for any cases."""
    first, second = on_ranks(run_all, cases)
    return {case: [first[n], second[n], alone(run, case)] for n, case in enumerate(cases)}


@pytest.mark.parametrize("case", SAME, ids=str)
def test_two_ranks_are_one_process_with_the_same_batch(case: Case, ends: dict[Case, list[dict[str, Any]]]) -> None:
    assert_one_search(*ends[case])


@pytest.mark.slow
def test_so_they_are_in_every_space_execution_and_order() -> None:
    for first, second, single in ended(REST).values():
        assert_one_search(first, second, single)
        assert_agreement(first, second)


def assert_one_search(first: dict[str, Any], second: dict[str, Any], single: dict[str, Any]) -> None:
    """Both ranks ended where one process did, to rounding."""
    for part in ("alphas", "weights", "losses"):
        torch.testing.assert_close(first[part], single[part], rtol=1e-9, atol=1e-9)
    assert first["genotypes"] == second["genotypes"] == single["genotypes"]
    assert first["draws"] == second["draws"] == single["draws"]
    assert single["moved"] > 1e-3


@pytest.mark.parametrize("case", [*SAME, *APART], ids=str)
def test_ranks_agree_bit_for_bit(case: Case, ends: dict[Case, list[dict[str, Any]]]) -> None:
    first, second, _ = ends[case]
    assert_agreement(first, second)


def assert_agreement(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Both ranks ended with the same bits."""
    for part in ("alphas", "weights", "losses"):
        torch.testing.assert_close(first[part], second[part], rtol=0, atol=0)
    assert first["genotypes"] == second["genotypes"]
    assert first["moved"] > 1e-3


def test_without_synchronized_batch_norm_each_rank_has_statistics_of_its_own(
    ends: dict[Case, list[dict[str, Any]]],
) -> None:
    """Else the key would do nothing."""
    shared, _, single = ends[APART[0]]
    assert abs(shared["losses"][0][0] - single["losses"][0][0]) > 1e-4


def test_the_state_dict_is_that_of_the_bare_supernet(ends: dict[Case, list[dict[str, Any]]]) -> None:
    shared, _, single = ends[SAME[0]]
    assert list(shared["weights"]) == list(single["weights"])


def test_a_weight_that_no_step_uses_stays(ends: dict[Case, list[dict[str, Any]]]) -> None:
    """Weight decay does not move it either, as in one process."""
    for end in ends[Case("no norm", sync=False, epochs=3)]:
        assert end["weights"]["idle"].tolist() == [1, 1, 1]


# what travels


def count(ranks: Ranks, *optimizers: str) -> list[list[int]]:
    """How many numbers each all-reduce of an architecture step has, beside the number of alphas and weights."""
    return [count_of(ranks, optimizer) for optimizer in optimizers]


def count_of(ranks: Ranks, optimizer: str) -> list[int]:
    """The same of one optimizer."""
    _, bilevel = Case("no norm", optimizer=optimizer, sync=False).bilevel(ranks)
    sizes, all_reduce = [], dist.all_reduce
    dist.all_reduce = lambda tensor, *more: (sizes.append(tensor.numel()), all_reduce(tensor, *more))
    try:
        bilevel.arch_step(*(next(feed(ranks, seed, 1).stream) for seed in (1, 2)))
    finally:
        dist.all_reduce = all_reduce
    alphas, weights = (
        sum(p.numel() for p in module.parameters()) for module in (bilevel.arch, bilevel.objective.supernet)
    )
    return [alphas, weights, *sizes]


def test_the_gradient_of_the_alphas_is_one_all_reduce() -> None:
    """The second order adds one for the step and one for its direction."""
    for first, second in on_ranks(count, "first_order", "second_order"):
        alphas, weights, *sizes = first
        assert sizes == [alphas + 1]  # and the loss
        assert second == [alphas, weights, weights, weights, alphas + 1]


# ranks that drift apart


def drift(ranks: Ranks, what: str) -> None:
    """A search in which rank 1 has something of its own: random states at once, all else before the last epoch."""
    space, bilevel = Case("no norm", sync=False, gumbel=True).bilevel(ranks)
    if ranks.rank == 1 and what == "random_states":
        torch.rand(1)
    for record in search(space, bilevel, feed(ranks, 1, 1), feed(ranks, 2, 1), recipe(3)):
        if record.epoch == 1 and ranks.rank == 1 and what != "random_states":
            with torch.no_grad():
                values = bilevel.arch if what == "alphas" else bilevel.objective.supernet.head
                next(values.parameters()).view(-1)[0].mul_(1 + 1e-7)


@pytest.mark.parametrize(
    ("what", "when"), [("alphas", "after epoch 2"), ("weights", "after epoch 2"), ("random_states", "before the first")]
)
def test_ranks_that_differ_stop_with_an_error(what: str, when: str, drifted: list[dict[str, str]]) -> None:
    for said in (rank[what] for rank in drifted):
        assert said.startswith("DisagreementError: ")
        assert when in said
        assert what in said


def drift_in_every_way(ranks: Ranks) -> dict[str, str]:
    """What each search ended with."""
    said = {}
    for what in ("alphas", "weights", "random_states"):
        with pytest.raises(DisagreementError) as error:
            drift(ranks, what)
        said[what] = f"{error.type.__name__}: {error.value}"
    return said


@pytest.fixture(scope="module")
def drifted() -> list[dict[str, str]]:
    """What both ranks said, by what rank 1 had of its own."""
    return on_ranks(drift_in_every_way)


# measuring


def measure(ranks: Ranks, *counts: int) -> list[tuple[float, float]]:
    """Loss and accuracy of a fixed network over so many images."""
    return [measured(ranks, count) for count in counts]


def measured(ranks: Ranks, count: int) -> tuple[float, float]:
    """The same over one number of images, in batches of 8."""
    images, labels = batch(5, count)
    batches = list(zip(images.split(8), labels.split(8), strict=True))
    own = [batches[turn] for turn in ranks.turns(len(batches))]
    weights = torch.linspace(-1, 1, 36 * 3, dtype=torch.float64).view(3, 36)
    return evaluate(lambda x: x.flatten(1) @ weights.T, own, torch.nn.functional.cross_entropy, ranks=ranks)


def test_every_image_is_measured_once() -> None:
    """Also where one rank has no batch at all."""
    counts, wanted = (3, 16, 21), []
    for count in counts:
        images, labels = batch(5, count)
        logits = images.flatten(1) @ torch.linspace(-1, 1, 108, dtype=torch.float64).view(3, 36).T
        loss = torch.nn.functional.cross_entropy(logits, labels)
        wanted.append((float(loss), float((logits.argmax(1) == labels).double().mean())))
    for found in on_ranks(measure, *counts):
        assert found == [pytest.approx(one, rel=1e-12) for one in wanted]


@pytest.mark.slow
def test_what_rank_0_calibrates_is_what_all_ranks_have() -> None:
    """Step sizes, and the signedness of inputs, which is a buffer."""
    first, second = on_ranks(calibrated)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert any(name.endswith("bounds") for name in first)
    fresh = alone(calibrated, False)
    assert any(not torch.equal(value, first[name]) for name, value in fresh.items() if name.endswith("bounds"))
    assert any(not torch.equal(value, first[name]) for name, value in fresh.items() if name.endswith("step"))


def tell(ranks: Ranks) -> list[str]:
    """What both ranks are told, and who was asked."""
    asked = []

    def make() -> str:
        asked.append(f"rank {ranks.rank}")
        return f"from {ranks.rank} of {ranks.size}, ü"

    return [ranks.of_first(make), *asked]


def test_a_text_that_rank_0_makes_is_that_of_all() -> None:
    assert on_ranks(tell) == [["from 0 of 2, ü", "rank 0"], ["from 0 of 2, ü"]]
