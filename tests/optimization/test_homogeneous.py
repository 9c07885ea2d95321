"""Homogeneous baselines: which genotypes, how they share the epochs, what a budget keeps."""

from typing import Any

import pytest
import torch

from nas.optimization import Budget, CandidateTraining, Homogeneous, RandomSearch, Target
from nas.parallel import Ranks
from nas.space import ModuleSpace, SearchSpace
from tests.optimization.budgets import CostedSpace, costed_space
from tests.optimization.toys import CPU, TINY, SmallNet, feed, recipe, small_space, tiny_cells
from tests.search_spaces.spaces import darts

COST = costed_space().cost("macs", TINY)


def started(epochs: int, space: SearchSpace | None = None, method: Any = None, **parts: Any) -> CandidateTraining:
    torch.manual_seed(0)
    method = method or Homogeneous(name="homogeneous")
    return method.start(space or costed_space(), TINY, feed(1), feed(2), recipe(epochs), CPU, **parts)


def all_of(kernel: str) -> float:
    return COST.exact({"first/op": kernel, "second/op": kernel})


def ignore() -> None:
    pass


def test_every_homogeneous_genotype_is_trained_for_its_share() -> None:
    process = started(7)
    assert list(process.genotypes) == ["1x1", "3x3", "5x5"]
    assert process.finished() == ()
    finished = [len(process.finished()) for _ in process.epochs(ignore)]
    assert finished == [0, 0, 1, 1, 2, 2, 3]
    assert [(one.name, one.epochs) for one in process.finished()] == [("1x1", 3), ("3x3", 2), ("5x5", 2)]


def test_a_finished_candidate_says_what_its_last_epoch_measured() -> None:
    process = started(6)
    records = list(process.epochs(ignore))[1::2]
    for candidate, record, (name, genotype) in zip(process.finished(), records, process.genotypes.items(), strict=True):
        assert (candidate.name, candidate.genotype) == (name, genotype)
        for field in ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy"):
            assert getattr(candidate, field) == getattr(record, field)


@pytest.mark.parametrize("kernel", ["1x1", "3x3"])
def test_with_a_budget_all_are_trained_and_the_best_within_it_is_kept(
    kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = started(3, budget=Target(COST, all_of(kernel)))
    accuracies = iter([0.25, 0.5, 1.0])
    monkeypatch.setattr(process, "_validate", lambda network: (1.0, next(accuracies)))
    records = list(process.epochs(ignore))
    assert [one.name for one in process.finished()] == ["1x1", "3x3", "5x5"]
    assert set(records[-1].genotype.decisions.values()) == {kernel}
    assert [record.budget for record in records] == [{"macs": process.budget.spent(process.space, r.genotype)}
                                                     for record, r in zip(records, records, strict=True)]  # fmt: skip
    assert records[-1].budget == {"macs": all_of(kernel)}


def test_without_a_budget_records_say_nothing_of_one() -> None:
    assert all("budget" not in record.to_dict() for record in started(3).epochs(ignore))


def test_the_first_genotype_within_a_budget_stands_for_a_best_one_until_there_is_one() -> None:
    class Reversed(CostedSpace):
        def homogeneous(self) -> Any:
            return dict(reversed(super().homogeneous().items()))

    space = Reversed("costed", costed_space().build)
    process = started(6, space, budget=Target(COST, all_of("1x1")))
    assert {str(record.genotype.decisions) for record in process.epochs(ignore)} == {
        "{'first/op': '1x1', 'second/op': '1x1'}"
    }


def test_too_few_epochs_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"trainer\.epochs is 2, but space 'costed' has 3 homogeneous genotypes \(1x1, 3x3"
    ):
        started(2)


def test_at_most_so_many_candidates_are_the_first_or_the_cheapest() -> None:
    class Reversed(CostedSpace):
        def homogeneous(self) -> Any:
            return dict(reversed(super().homogeneous().items()))

    method, space = Homogeneous(name="homogeneous", candidates=2), Reversed("costed", costed_space().build)
    assert list(started(2, space, method).genotypes) == ["5x5", "3x3"]
    assert list(started(2, space, method, budget=Target(COST, all_of("1x1"))).genotypes) == ["3x3", "1x1"]
    assert list(started(9, method=Homogeneous(name="homogeneous", candidates=9)).genotypes) == ["1x1", "3x3", "5x5"]
    with pytest.raises(ValueError, match=r"^method\.candidates is 0; give at least 1"):
        Homogeneous(name="homogeneous", candidates=0)


def test_a_budget_below_all_homogeneous_genotypes_names_the_cheapest() -> None:
    class NotTheCheapest(CostedSpace):
        def homogeneous(self) -> Any:
            return {name: one for name, one in super().homogeneous().items() if name != "1x1"}

    space = NotTheCheapest("costed", costed_space().build)
    limit = all_of("3x3") - 1
    wanted = (
        rf"costs at most {limit:,.0f} macs: the cheapest, '3x3', costs {all_of('3x3'):,.0f} macs; give at least that"
    )
    with pytest.raises(ValueError, match=wanted):
        started(3, space, budget=Target(COST, limit))


def test_a_space_without_common_candidates_has_none() -> None:
    assert small_space().homogeneous() == {}  # its gate has none of the others' candidates
    with pytest.raises(ValueError, match="space 'small' has no homogeneous genotypes"):
        started(3, small_space())


def test_a_space_of_one_choice_has_all_its_candidates() -> None:
    class One(SmallNet):
        def __init__(self) -> None:
            super().__init__()
            del self.second, self.gate

    genotypes = ModuleSpace("one", lambda skeleton: One()).homogeneous()
    assert {name: dict(one.decisions) for name, one in genotypes.items()} == {
        name: {"first/op": name} for name in ("conv", "skip", "square")
    }


def test_homogeneous_cells_have_one_operator_and_read_what_lies_nearest() -> None:
    genotypes = darts().homogeneous()
    assert "none" not in genotypes
    assert list(genotypes) == darts().kept_operators
    for operator, genotype in genotypes.items():
        for kind in ("normal", "reduce"):
            for node in range(2, 6):
                wanted = [[operator, node - 2], [operator, node - 1]]
                assert genotype.decisions[f"{kind}/{node}"] == wanted
        assert tiny_cells(num_nodes=2).homogeneous()["sep_conv_3x3"].decisions["normal/3"] == [
            ["sep_conv_3x3", 1],
            ["sep_conv_3x3", 2],
        ]


@pytest.mark.parametrize("method", [Homogeneous(name="one"), RandomSearch(name="one", epochs_per_candidate=1)])
def test_a_baseline_runs_on_one_device(method: Any) -> None:
    with pytest.raises(ValueError, match=r"^method 'one' runs on one device, not on 2; give trainer\.devices=1$"):
        started(3, method=method, ranks=Ranks(0, 2))


# random genotypes within a budget


def random_ones(epochs: int, budget: Budget | None, seed: int = 0) -> list[float]:
    torch.manual_seed(seed)
    method = RandomSearch(name="random", epochs_per_candidate=1)
    process = method.start(costed_space(), TINY, feed(1), feed(2), recipe(epochs), CPU, budget=budget)
    return [COST.exact(genotype.decisions) for genotype in process.genotypes.values()]


def test_random_genotypes_within_a_budget_are_those_drawn_without_it_that_keep_it() -> None:
    limit = all_of("3x3")
    free, within = random_ones(60, None), random_ones(10, Target(COST, limit))
    kept = [cost for cost in free if cost <= limit]
    assert 10 < len(kept) < 60
    assert within == kept[:10]


def test_a_budget_that_no_draw_keeps_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.optimization.random_search.MOST_DRAWS", 3)
    limit = all_of("1x1")
    with pytest.raises(
        ValueError, match=rf"^none of 3 random genotypes of space 'costed' costs at most {limit:,.0f} macs"
    ):
        random_ones(20, Target(COST, limit))
