"""The search loop: what it records, in which order it steps, and that a seed decides all of it."""

import copy
import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.architecture import ArchParameters, EpochRecord, Mixture
from nas.optimization import (
    BilevelOptimizer,
    Cosine,
    Exponential,
    Feed,
    FirstOrder,
    NonFiniteLossError,
    Objective,
    Recipe,
    SecondOrder,
    SingleLevel,
    search,
)
from nas.optimization.objective import Batch
from nas.relaxation import Softmax
from nas.space import SearchSpace
from tests.optimization.contracts import assert_same_bits
from tests.optimization.toys import TINY, Gumbel, adam, feed, images, in_order, recipe, small_space, tiny_cells

KINDS = [FirstOrder, SecondOrder, SingleLevel]


def bilevel_of(
    space: SearchSpace,
    recipe: Recipe,
    *,
    kind: type[BilevelOptimizer] = FirstOrder,
    relaxation: Any = None,
    seed: int = 0,
) -> BilevelOptimizer:
    torch.manual_seed(seed)
    supernet, arch = space.supernet(TINY), ArchParameters(space.choices)
    weight_optimizer = recipe.optimizer(supernet.parameters())
    arch_optimizer = adam(arch.parameters())
    return kind(
        Objective(supernet),
        arch,
        relaxation or Softmax(),
        weight_optimizer,
        arch_optimizer,
        clip_norm=recipe.clip_norm,
    )


def run(
    *,
    kind: type[BilevelOptimizer] = FirstOrder,
    seed: int = 0,
    relaxation: Any = None,
    cells: bool = True,
    epochs: int = 3,
) -> tuple[list[EpochRecord], BilevelOptimizer]:
    space = tiny_cells() if cells else small_space(running=True)
    bilevel = bilevel_of(space, recipe(epochs), kind=kind, seed=seed, relaxation=relaxation)
    return list(search(space, bilevel, feed(1), feed(2), recipe(epochs))), bilevel


def timeless(records: list[EpochRecord]) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.to_dict().items() if key != "seconds"} for record in records]


# the records


def test_record_says_what_the_state_after_its_epoch_is() -> None:
    space = small_space(running=True)
    bilevel = bilevel_of(space, recipe(), relaxation=Gumbel())
    for number, record in enumerate(search(space, bilevel, feed(1), feed(2), recipe())):
        assert record.epoch == number
        assert record.seconds > 0
        assert record.alphas == {name: alphas.tolist() for name, alphas in bilevel.arch.named()}
        assert list(record.alphas) == [choice.name for choice in space.choices]
        best = {
            choice.name: choice.candidates[int(bilevel.arch.tables[choice.name].argmax())] for choice in space.choices
        }
        assert record.genotype.decisions == best
    assert number == 2


def test_training_figures_are_means_over_the_batches_before_their_steps() -> None:
    space, seen = small_space(), []
    bilevel = bilevel_of(space, recipe(1))
    step = bilevel.weight_step

    def watched(batch: Batch) -> tuple[Tensor, Tensor]:
        loss, logits = step(batch)
        seen.append((float(loss), float((logits.argmax(1) == batch[1]).double().mean())))
        return loss, logits

    bilevel.weight_step = watched  # type: ignore[method-assign]
    (record,) = search(space, bilevel, feed(1), feed(2), recipe(1))
    losses, accuracies = zip(*seen, strict=True)
    assert len(seen) == 3
    assert record.train_loss == pytest.approx(sum(losses) / 3, rel=1e-9)
    assert record.train_accuracy == pytest.approx(sum(accuracies) / 3, rel=1e-9)


@pytest.mark.parametrize("relaxation", [Softmax, Gumbel])
def test_validation_measures_all_images_with_the_mean_mixture_in_evaluation_mode(relaxation: Any) -> None:
    space, valid = small_space(running=True), feed(2, count=21)
    bilevel = bilevel_of(space, recipe(2), relaxation=relaxation())
    data = images(2, 21)
    for record in search(space, bilevel, feed(1), valid, recipe(2)):
        supernet = copy.deepcopy(bilevel.objective.supernet).eval()
        tables = {name: table.detach().softmax(-1) for name, table in bilevel.arch.tables.items()}
        with torch.no_grad():
            logits = supernet(data[0], Mixture(bilevel.arch.layout, tables))
        assert record.valid_loss == pytest.approx(float(F.cross_entropy(logits, data[1])), rel=1e-5)
        assert record.valid_accuracy == pytest.approx(float((logits.argmax(1) == data[1]).double().mean()), rel=1e-9)


def test_validation_changes_nothing_and_training_goes_on_in_training_mode() -> None:
    space, states, modes = small_space(running=True), [], []
    bilevel = bilevel_of(space, recipe(2))
    supernet, valid = bilevel.objective.supernet, feed(2)
    step = bilevel.weight_step

    def watched(batch: Batch) -> tuple[Tensor, Tensor]:
        modes.append(supernet.training)
        return step(batch)

    def batches() -> Iterator[Batch]:
        modes.append("validates")
        states.append([copy.deepcopy(supernet.state_dict()), copy.deepcopy(bilevel.arch.state_dict())])
        yield from in_order(images(2, 20), 8)
        assert not supernet.training

    bilevel.weight_step = watched  # type: ignore[method-assign]
    for _ in search(space, bilevel, feed(1), Feed(valid.stream, 0, batches), recipe(2)):
        assert_same_bits([supernet.state_dict(), bilevel.arch.state_dict()], states[-1])
    assert modes == [True, True, True, "validates"] * 2


# the order of things


class Noted(FirstOrder):
    """Writes down what it is asked to do."""

    def __init__(self, *parts: Any, **settings: Any) -> None:
        super().__init__(*parts, **settings)
        self.notes: list[Any] = []

    def arch_step(self, train_batch: Batch, valid_batch: Batch) -> None:
        self.notes.append(("alphas", int(train_batch[1][0]), int(valid_batch[1][0])))

    def weight_step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        self.notes.append(("weights", int(batch[1][0]), self.weight_optimizer.param_groups[0]["lr"]))
        return super().weight_step(batch)


def numbered(start: int, steps: int) -> Feed:
    """Batches whose labels count up from `start`, modulo 3 classes only for the loss."""

    def stream() -> Iterator[Batch]:
        for number in range(start, 10**6):
            yield torch.zeros(2, 1, 6, 6), torch.full((2,), number)

    return Feed(stream(), steps, lambda: [(torch.zeros(2, 1, 6, 6), torch.zeros(2, dtype=torch.int64))])


def noted(*, epochs: int, warmup: int, schedule: Any = None) -> Noted:
    space, settings = small_space(), recipe(epochs, schedule=schedule or Cosine())
    bilevel = bilevel_of(space, settings, kind=Noted)
    bilevel.objective.criterion = lambda logits, labels: F.cross_entropy(logits, labels % 3)
    list(search(space, bilevel, numbered(0, 2), numbered(500, 9), settings, warmup_epochs=warmup))
    assert isinstance(bilevel, Noted)
    return bilevel


def test_each_step_moves_the_alphas_first_and_then_the_weights_on_the_same_training_batch() -> None:
    steps = [note[:2] for note in noted(epochs=2, warmup=0).notes]
    assert steps == [(what, number) for number in range(4) for what in ("alphas", "weights")]


def test_validation_batches_are_drawn_one_a_step_and_none_in_warmup() -> None:
    notes = noted(epochs=3, warmup=1).notes
    assert [note[0] for note in notes] == ["weights"] * 2 + ["alphas", "weights"] * 4
    assert [note[2] for note in notes if note[0] == "alphas"] == [500, 501, 502, 503]


def test_rate_of_each_epoch_is_that_of_the_schedule() -> None:
    notes = noted(epochs=4, warmup=0, schedule=Exponential(factor=0.5)).notes
    rates = [note[2] for note in notes if note[0] == "weights"]
    assert rates == [0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125, 0.00625, 0.00625]


def test_second_order_unrolls_with_the_rate_of_the_epoch() -> None:
    """A rate of zero from the schedule makes its alphas those of the first order."""
    alphas = []
    for kind in (FirstOrder, SecondOrder):
        settings = recipe(1, schedule=Exponential(factor=0.0, warmup_epochs=0))
        space = small_space()
        bilevel = bilevel_of(space, settings, kind=kind)
        bilevel.weight_optimizer.param_groups[0]["initial_lr"] = 0.0
        alphas.append([record.alphas for record in search(space, bilevel, feed(1), feed(2), settings)])
    assert alphas[0] == alphas[1]


@pytest.mark.parametrize(("epochs", "told"), [(1, [0.0]), (3, [0.0, 0.5, 1.0])])
def test_relaxation_hears_how_much_of_the_search_is_over(epochs: int, told: list[float]) -> None:
    space, relaxation = small_space(), Gumbel()
    list(search(space, bilevel_of(space, recipe(epochs), relaxation=relaxation), feed(1), feed(2), recipe(epochs)))
    assert relaxation.told == told


def test_on_step_is_called_after_every_step() -> None:
    space, calls = small_space(), []
    bilevel = bilevel_of(space, recipe(2))

    def on_step() -> None:
        calls.append(int(bilevel.arch_optimizer.state[next(bilevel.arch.parameters())]["step"]))

    for _ in search(space, bilevel, feed(1, steps=4), feed(2), recipe(2), on_step=on_step):
        calls.append("record")
    assert calls == [1, 2, 3, 4, "record", 5, 6, 7, 8, "record"]


# warm-up and early stopping


@pytest.mark.parametrize("kind", KINDS)
def test_alphas_do_not_move_in_warmup(kind: type[BilevelOptimizer]) -> None:
    space = tiny_cells()
    bilevel = bilevel_of(space, recipe(4), kind=kind)
    start = {name: alphas.tolist() for name, alphas in bilevel.arch.named()}
    records = list(search(space, bilevel, feed(1), feed(2), recipe(4), warmup_epochs=2))
    assert [record.alphas == start for record in records] == [True, True, False, False]


def test_leaving_the_loop_stops_the_search() -> None:
    space, calls = small_space(), []
    bilevel = bilevel_of(space, recipe(50))
    for record in search(space, bilevel, feed(1), feed(2), recipe(50), on_step=lambda: calls.append(1)):
        if record.epoch == 1:
            break
    assert len(calls) == 6
    whole = bilevel_of(space, recipe(50))
    first_two = list(islice(search(space, whole, feed(1), feed(2), recipe(50)), 2))
    assert timeless([record]) == timeless(first_two[1:])
    assert_same_bits(bilevel.objective.supernet.state_dict(), whole.objective.supernet.state_dict())


# determinism


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_search_and_another_seed_another(kind: type[BilevelOptimizer]) -> None:
    first, second, other = (run(kind=kind, seed=seed, relaxation=Gumbel(), epochs=2) for seed in (3, 3, 4))
    assert timeless(first[0]) == timeless(second[0])
    assert first[0][-1].genotype.to_json() == second[0][-1].genotype.to_json()
    assert_same_bits(first[1].arch.state_dict(), second[1].arch.state_dict())
    assert_same_bits(first[1].objective.supernet.state_dict(), second[1].objective.supernet.state_dict())
    for name, alphas in first[0][-1].alphas.items():
        assert other[0][-1].alphas[name] != alphas


def test_the_kinds_search_differently() -> None:
    alphas = {tuple(run(kind=kind, epochs=1)[0][-1].alphas["normal/0-2/op"]) for kind in KINDS}
    assert len(alphas) == 3


# losses that are no numbers


def poisoned(good: Feed, at: int) -> Feed:
    """The feed with NaN images from batch `at` of its stream on."""

    def stream() -> Iterator[Batch]:
        for number, (pixels, labels) in enumerate(good.stream):
            yield (pixels if number < at else pixels * math.nan), labels

    return Feed(stream(), good.steps, good.in_order)


def note_epochs(records: Iterator[EpochRecord], epochs: list[int]) -> None:
    for record in records:
        epochs.append(record.epoch)


@pytest.mark.parametrize("cells", [False, True])
def test_nan_in_training_names_its_epoch_and_yields_no_record(cells: bool) -> None:
    space = tiny_cells() if cells else small_space()
    bilevel = bilevel_of(space, recipe(4))
    epochs = []
    records = search(space, bilevel, poisoned(feed(1), at=2 * 3 + 1), feed(2), recipe(4))
    with pytest.raises(NonFiniteLossError, match="training loss became nan in epoch 2") as caught:
        note_epochs(records, epochs)
    assert (epochs, caught.value.epoch) == ([0, 1], 2)


def test_nan_in_validation_names_its_epoch() -> None:
    space, calls = small_space(), []

    def batches() -> list[Batch]:
        calls.append(1)
        pixels, labels = images(2, 20)
        return [(pixels * math.nan if len(calls) == 2 else pixels, labels)]

    valid = Feed(feed(2).stream, 3, batches)
    epochs = []
    records = search(space, bilevel_of(space, recipe(4)), feed(1), valid, recipe(4))
    with pytest.raises(NonFiniteLossError, match="validation loss became nan in epoch 1"):
        note_epochs(records, epochs)
    assert epochs == [0]


def test_a_rate_that_is_far_too_high_is_reported() -> None:
    space, settings = small_space(), recipe(2, rate=1e30, clip_norm=None, schedule=Cosine())
    with pytest.raises(NonFiniteLossError, match=r"became (nan|inf) in epoch 0, step \d$"):
        list(search(space, bilevel_of(space, settings), feed(1), feed(2), settings))
