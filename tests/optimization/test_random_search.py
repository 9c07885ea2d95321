"""Random search on candidates whose accuracy is known beforehand."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.architecture import EpochRecord, Genotype, Mixture
from nas.optimization import CandidateTraining, Exponential, Feed, NonFiniteLossError, RandomSearch, Recipe
from nas.space import ModuleSpace, SearchSpace, Skeleton
from nas.supernet import MixedOp
from tests.optimization.contracts import assert_same_bits
from tests.optimization.toys import CPU, TINY, Endless, feed, images, in_order, recipe, tiny_cells

LABELS = torch.tensor([0, 0, 1, 1, 1, 2, 2, 2, 2, 2])  # class 2 is half of the validation images


class Always(nn.Module):
    """Logits for one class, `late` from the epoch on that follows `steps` training steps."""

    def __init__(self, early: int, late: int, steps: int) -> None:
        super().__init__()
        self.early, self.late, self.steps, self.seen = early, late, steps, 0
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        self.seen += self.training
        logits = x.new_zeros(len(x), 3)
        logits[:, self.early if self.seen <= self.steps else self.late] = 1.0
        return logits * self.scale


class Guess(nn.Module):
    """Candidates with the accuracies 0.2, 0.3, 0.5, 0.5, and one that falls from 0.5 to 0.2 after 2 steps."""

    def __init__(self) -> None:
        super().__init__()
        always = {f"class {c}{twin}": Always(c, c, 0) for c, twin in ((0, ""), (1, ""), (2, ""), (2, " again"))}
        self.guess = MixedOp({**always, "fades": Always(2, 0, 2)})

    def forward(self, x: Tensor, mixture: Mixture) -> Tensor:
        return self.guess(x, mixture["guess/op"])


ACCURACY = {"class 0": 0.2, "class 1": 0.3, "class 2": 0.5, "class 2 again": 0.5, "fades": 0.2}  # after two epochs


def guesses() -> ModuleSpace:
    return ModuleSpace("guesses", lambda skeleton: Guess())


def labelled(steps: int = 2) -> Feed:
    def stream() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield torch.zeros(4, 1, 6, 6), torch.tensor([0, 1, 2, 2])

    return Feed(Endless(stream), steps, lambda: in_order((torch.zeros(10, 1, 6, 6), LABELS), 4))


def started(
    epochs: int, share: int, *, seed: int = 0, space: SearchSpace | None = None, source: Any = None, **settings: Any
) -> CandidateTraining:
    torch.manual_seed(seed)
    method = RandomSearch(name="random", epochs_per_candidate=share)
    chosen: Recipe = recipe(epochs, **settings)
    process = method.start(space or guesses(), TINY, source or labelled(), labelled(), chosen, CPU)
    assert isinstance(process, CandidateTraining)
    return process


def drawn(process: CandidateTraining) -> list[Genotype]:
    return list(process.genotypes.values())


def ignore() -> None:
    pass


@pytest.mark.parametrize(
    ("epochs", "share", "shares"),
    [(6, 2, [2, 2, 2]), (7, 2, [3, 2, 2]), (11, 3, [4, 4, 3]), (2, 3, [2]), (1, 1, [1]), (5, 1, [1] * 5)],
)
def test_candidates_share_the_budget(epochs: int, share: int, shares: list[int]) -> None:
    process, built = started(epochs, share), []
    network = process.space.network

    def watched(genotype: Genotype, skeleton: Skeleton) -> Any:
        built.append(0)
        assert genotype == drawn(process)[len(built) - 1]
        return network(genotype, skeleton)

    process.space.network = watched  # type: ignore[method-assign]
    numbers = []
    for record in process.epochs(ignore):
        numbers.append(record.epoch)
        built[-1] += 1
    assert numbers == list(range(epochs))
    assert built == shares


def test_on_step_is_called_after_every_training_step() -> None:
    calls = []
    records = list(started(5, 2).epochs(lambda: calls.append(1)))
    assert (len(records), len(calls)) == (5, 5 * 2)


@pytest.mark.parametrize("seed", range(8))
def test_best_is_the_first_of_the_highest_accuracy_after_its_last_epoch(seed: int) -> None:
    process = started(14, 2, seed=seed)
    best, best_accuracy = drawn(process)[0], -1.0
    for record in process.epochs(ignore):
        genotype, done = drawn(process)[record.epoch // 2], record.epoch % 2 == 1
        name = str(genotype.decisions["guess/op"])
        faded = name == "fades" and not done
        assert record.valid_accuracy == (0.5 if faded else ACCURACY[name])
        if done and ACCURACY[name] > best_accuracy:
            best, best_accuracy = genotype, ACCURACY[name]
        assert record.genotype == best
    assert best_accuracy == max(ACCURACY[str(one.decisions["guess/op"])] for one in drawn(process))


def test_seeds_above_show_ties_and_fading() -> None:
    names_drawn = [[g.decisions["guess/op"] for g in drawn(started(14, 2, seed=seed))] for seed in range(8)]
    assert any({"class 2", "class 2 again"} <= set(names) for names in names_drawn)
    assert any(names.index("fades") < min(map(names.index, {"class 2", "class 2 again"} & set(names)), default=0)
               for names in names_drawn if "fades" in names)  # fmt: skip


def test_losses_are_those_of_the_candidate() -> None:
    """Logits (1, 0, 0) at the present scale, of all 10 images: the loss in closed form, the scale untrained."""
    process = started(2, 2, optimizer=lambda weights: torch.optim.SGD(weights, lr=0.0), schedule=Exponential())
    name = str(drawn(process)[0].decisions["guess/op"])
    hit, miss = math.log(math.e + 2) - 1, math.log(math.e + 2)
    for record in process.epochs(ignore):
        hits = 0.5 if name == "fades" and record.epoch == 0 else ACCURACY[name]
        assert record.valid_loss == pytest.approx(hits * hit + (1 - hits) * miss, rel=1e-6)
        assert record.alphas == {}
        assert record.seconds > 0


def timeless(records: list[EpochRecord]) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.to_dict().items() if key != "seconds"} for record in records]


def test_same_seed_same_search_and_another_seed_another() -> None:
    runs = []
    for seed in (5, 5, 6):
        process = started(4, 2, seed=seed, space=tiny_cells(), source=feed(1))
        runs.append((drawn(process), timeless(list(process.epochs(ignore))), process.state_dict()))
    assert runs[0][:2] == runs[1][:2]
    assert_same_bits(runs[0][2], runs[1][2])
    assert runs[0][0] != runs[2][0]


def test_every_candidate_starts_from_scratch_with_the_first_rate() -> None:
    process, rates = started(4, 2, space=tiny_cells(), source=feed(1)), []
    made = process.recipe.optimizer

    def optimizer(weights: Any) -> torch.optim.Optimizer:
        rates.append([])
        optimizers.append(made(weights))
        return optimizers[-1]

    optimizers: list[torch.optim.Optimizer] = []
    object.__setattr__(process.recipe, "optimizer", optimizer)
    for _ in process.epochs(lambda: rates[-1].append(optimizers[-1].param_groups[0]["lr"])):
        pass
    cosine = [0.05, 0.001 + 0.049 / 2]  # two epochs of their own, not the first or last two of four
    assert rates == [pytest.approx([cosine[0]] * 3 + [cosine[1]] * 3)] * 2


def test_state_is_that_of_the_network_in_training() -> None:
    process = started(2, 1, space=tiny_cells(), source=feed(1))
    assert process.state_dict() == {"candidate": 0, "finished": [], "training": None}
    assert process.mixture() is None
    for number, _ in enumerate(process.epochs(ignore)):
        network = process.space.network(drawn(process)[number], TINY)
        network.load_state_dict(process.state_dict()["training"]["weights"])  # of this candidate: names and shapes fit
        assert all(int(v) == 3 for k, v in network.state_dict().items() if k.endswith("num_batches_tracked"))


def test_validation_runs_in_evaluation_mode() -> None:
    """Batch norm with running statistics measures the same whatever the batches; one by one they would be NaN-free."""
    process = started(1, 1, space=tiny_cells(), source=feed(1))
    data = images(2, 20)
    process.valid = Feed(process.valid.stream, 1, lambda: in_order(data, 1))
    record = next(process.epochs(ignore))
    network = process.space.network(drawn(process)[0], TINY).eval()
    network.load_state_dict(process.state_dict()["training"]["weights"])
    with torch.no_grad():
        logits = network(data[0])
    assert record.valid_loss == pytest.approx(float(nn.functional.cross_entropy(logits, data[1])), rel=1e-5)
    assert record.valid_accuracy == pytest.approx(float((logits.argmax(1) == data[1]).double().mean()))


def test_non_finite_loss_names_the_epoch_of_the_whole_search() -> None:
    good = feed(1, steps=2)

    def stream() -> Iterator[tuple[Tensor, Tensor]]:
        for number, (pixels, labels) in enumerate(good.stream):
            yield (pixels * math.nan if number == 2 * 3 + 1 else pixels), labels

    process = started(6, 2, space=tiny_cells(), source=Feed(stream(), 2, good.in_order))
    records = process.epochs(ignore)
    assert [next(records).epoch for _ in range(3)] == [0, 1, 2]
    with pytest.raises(NonFiniteLossError, match="training loss became nan in epoch 3"):
        next(records)


@pytest.mark.parametrize("value", [0, -1])
def test_refuses_less_than_one_epoch_a_candidate(value: int) -> None:
    with pytest.raises(ValueError, match=rf"^method\.epochs_per_candidate is {value}; give at least 1$"):
        RandomSearch(name="random", epochs_per_candidate=value)
