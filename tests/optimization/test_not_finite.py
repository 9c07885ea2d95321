"""Steps that are not finite: found at once, or late without waiting; skipped; and gone back from."""

import logging
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.optimization import DiscreteLoss, Feed, FirstOrder, NonFiniteLossError, RandomSearch, Training
from nas.optimization.finite import Watch, largest
from nas.optimization.gradient_search import GradientSearchProcess
from nas.optimization.objective import Batch
from nas.optimization.progress import Progress
from tests.optimization.contracts import assert_same_bits
from tests.optimization.test_exact_resume import PROCESSES, gradient, timeless
from tests.optimization.toys import CPU, TINY, Endless, feed, recipe, tiny_cells

STEPS, EPOCHS = 3, 2


# seeing


@pytest.mark.parametrize(
    ("tensors", "wanted"),
    [([], 0), ([[0.5, -3.0], [2.0]], 3), ([[0.5], [math.nan, 9.0]], math.nan), ([[-math.inf], [1.0]], math.inf)],
)
def test_the_largest_magnitude(tensors: list[list[float]], wanted: float) -> None:
    found = largest([torch.tensor(values) for values in tensors] + [torch.zeros(0)]).item()
    assert found == pytest.approx(wanted, nan_ok=True)


def test_no_finite_number_is_too_large() -> None:
    """Norms by squares would be infinite."""
    assert largest([torch.tensor([3e38]), torch.tensor([-3.2e38])]).item() == pytest.approx(3.2e38)


@pytest.mark.parametrize(("alphas", "loss", "name"), [(1.0, math.nan, "training loss"), (math.inf, 2.0, "alphas")])
def test_a_late_watch_names_the_first_bad_step_when_it_is_read(alphas: float, loss: float, name: str) -> None:
    watch = Watch(late=True)
    watch.see(4, 1, torch.tensor(1.0), [torch.ones(2)])
    watch.see(4, 2, torch.tensor(loss), [torch.tensor([alphas])])
    watch.see(4, 3, torch.tensor(math.inf), [torch.tensor([math.nan])])
    for _ in range(2):
        with pytest.raises(NonFiniteLossError, match=rf"^the {name} became (nan|inf) in epoch 4, step 2$"):
            watch.require_finite(4)
    watch.clear()
    watch.require_finite(4)


def test_a_late_progress_lets_no_bad_state_be_kept() -> None:
    process = poisoned_search([5])
    process.progress.watch.late = True
    seen = []

    def on_step() -> None:
        seen.append(process.position)
        if len(seen) == 6:
            process.state_dict()

    with pytest.raises(NonFiniteLossError, match=r"training loss became nan in epoch 1, step 3$"):
        list(process.epochs(on_step))
    assert len(seen) == 6


def test_weights_that_no_loss_has_seen_yet_are_not_kept() -> None:
    progress = Progress()
    progress.add((torch.tensor(1.0), torch.ones(1, 2)), torch.zeros(1, dtype=torch.int64))
    progress.require_finite([torch.ones(2)], [torch.ones(2)])
    with pytest.raises(NonFiniteLossError, match=r"^the weights became nan in epoch 0, step 1$"):
        progress.require_finite([torch.ones(2), torch.tensor(math.nan)])
    with pytest.raises(NonFiniteLossError, match=r"^the alphas became inf in epoch 0, step 1$"):
        progress.require_finite([torch.ones(2)], [torch.tensor(-math.inf)])


# feeds with bad batches


def poisoned(good: Feed, bad: list[int], *, without: bool = False) -> Feed:
    """The feed with NaN images in some batches of its stream, counted from 0, or without those batches."""

    def batches() -> Iterator[Batch]:
        good.stream.seek(0, 0)
        for number in range(10**6):
            pixels, labels = next(good.stream)
            if number not in bad:
                yield pixels, labels
            elif not without:
                yield pixels * math.nan, labels

    return Feed(Endless(batches), good.steps, good.in_order)


def poisoned_search(train: list[int], valid: list[int] | None = None, *, start: Any = None, skips: bool = False) -> Any:
    """A search of 2 epochs of 3 steps, whose alphas move from the first one on."""
    process = (start or gradient())(0)
    process.train = poisoned(feed(1, steps=STEPS), train)
    process.valid = poisoned(feed(2, steps=STEPS), valid or [])
    process.recipe, process.warmup_epochs = recipe(EPOCHS, skips=skips), 0
    return process


def poisoned_training(bad: list[int], *, skips: bool = False, without: bool = False) -> Training:
    torch.manual_seed(0)
    space = tiny_cells()
    network = space.network(space.sample(torch.Generator().manual_seed(3)), TINY)
    source = poisoned(feed(1, steps=STEPS - without * len(bad)), bad, without=without)
    return Training(network, source, recipe(1, skips=skips), DiscreteLoss(F.cross_entropy), CPU)


# stopping


@pytest.mark.parametrize("name", ["first order", "second order, random", "drawn", "budget"])
def test_a_bad_batch_of_either_half_stops_the_search_at_its_step(name: str) -> None:
    for train, valid, words in (([4], [], "(alphas|training loss) became nan"), ([], [4], "alphas became nan")):
        process = poisoned_search(train, valid, start=PROCESSES[name])
        with pytest.raises(NonFiniteLossError, match=rf"^the {words} in epoch 1, step 2$"):
            list(process.epochs(lambda: None))


def test_a_bad_batch_stops_a_training_at_its_step() -> None:
    with pytest.raises(NonFiniteLossError, match=r"^the training loss became nan in epoch 0, step 2$"):
        list(poisoned_training([1]).epochs(lambda: None))


# skipping


def states(process: Any) -> Iterator[dict[str, Any]]:
    """The state after each step."""
    kept: list[dict[str, Any]] = []

    def on_step() -> None:
        kept.append(copied(process.state_dict()))

    list(process.epochs(on_step))
    yield from kept


def copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(copied(item) for item in value)
    return value.clone() if isinstance(value, Tensor) else value


STAYS = ("weights", "alphas", "weight_optimizer", "arch_optimizer", "budget")


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("name", ["second order, random", "running statistics", "drawn", "budget"])
def test_a_skipped_step_changes_nothing(name: str, half: int, caplog: pytest.LogCaptureFixture) -> None:
    bad: list[list[int]] = [[], []]
    bad[half] = [1, 2]
    with caplog.at_level(logging.WARNING):
        before, skipped, again, after, *_ = states(poisoned_search(*bad, start=PROCESSES[name], skips=True))
    for state in (skipped, again):
        for key in STAYS:
            assert_same_bits(state[key], before[key])
    for key in ("alphas", "weights"):
        assert any(not torch.equal(value, before[key][name]) for name, value in after[key].items())
    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition(" is skipped: the ")[0] for line in lines] == ["epoch 0, step 2", "epoch 0, step 3"]
    assert all(line.endswith(" is nan") for line in lines)


def test_a_step_whose_weights_fail_takes_its_alphas_back() -> None:
    """Its validation batch was good: alphas and their optimizer had moved."""
    process = poisoned_search([1], start=PROCESSES["first order"], skips=True)
    moved = []
    step = process.bilevel.arch_optimizer.step
    process.bilevel.arch_optimizer.step = lambda: (moved.append(process.position), step())
    before, skipped, *_ = states(process)
    assert (0, 1) in moved
    for key in STAYS:
        assert_same_bits(skipped[key], before[key])


def test_skipped_steps_are_not_in_the_mean() -> None:
    """A training without the bad batches is the same, to the bit."""
    skipping, clean = poisoned_training([1], skips=True), poisoned_training([1], without=True)
    (record,), (wanted,) = list(skipping.epochs(lambda: None)), list(clean.epochs(lambda: None))
    assert (record.train_loss, record.train_accuracy) == (wanted.train_loss, wanted.train_accuracy)
    assert_same_bits(skipping.network.state_dict(), clean.network.state_dict())


def test_a_gradient_that_is_not_finite_is_skipped_too() -> None:
    """The loss is, and clipping to a norm would make every weight NaN."""
    training = poisoned_training([], skips=True)
    weight = next(training.network.parameters())
    calls: list[int] = []
    weight.register_hook(lambda gradient: gradient * math.inf if not calls.append(1) and len(calls) == 2 else gradient)  # type: ignore[func-returns-value]
    before, skipped, after = (state["weights"] for state in states(training))
    assert_same_bits(skipped, before)
    assert all(value.isfinite().all() for value in after.values())


def test_without_bad_batches_skipping_is_the_plain_search() -> None:
    for start in (PROCESSES["second order, random"], PROCESSES["budget"]):
        ends = []
        for skips in (False, True):
            process = poisoned_search([], start=start, skips=skips)
            records = [timeless(record) for record in process.epochs(lambda: None)]
            ends.append((records, process.state_dict()))
        assert ends[0][0] == ends[1][0]
        assert_same_bits(ends[0][1], ends[1][1])


class OwnWeightStep(FirstOrder):
    """A bilevel optimizer with a weight step that has no parts."""

    def weight_step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return super().weight_step(batch)


class OwnSteps(OwnWeightStep):
    """And with such a step of the alphas."""

    def arch_step(self, train_batch: Batch, valid_batch: Batch) -> None:
        super().arch_step(train_batch, valid_batch)


@pytest.mark.parametrize(
    ("bilevel", "steps"), [(OwnWeightStep, "weight_step"), (OwnSteps, "arch_step and weight_step")]
)
def test_steps_that_cannot_be_left_in_the_middle_are_not_skipped(bilevel: Any, steps: str) -> None:
    whole = gradient(bilevel)(0)
    with pytest.raises(
        ValueError, match=rf"^trainer.on_nan=skip looks into .* {bilevel.__name__} has its own {steps}:"
    ):
        GradientSearchProcess(
            whole.space, whole.bilevel, whole.train, whole.valid, recipe(EPOCHS, skips=True), warmup_epochs=0
        )


def test_an_epoch_without_a_finite_step_stops() -> None:
    process = poisoned_search([3, 4, 5], skips=True)
    with pytest.raises(NonFiniteLossError, match=r"^the loss or gradient of every step became nan in epoch 1$"):
        list(process.epochs(lambda: None))
    with pytest.raises(NonFiniteLossError, match=r"every step became nan in epoch 0$"):
        list(poisoned_training([0, 1, 2], skips=True).epochs(lambda: None))


# going back


def random_networks() -> Any:
    torch.manual_seed(0)
    source = poisoned(feed(1, steps=STEPS), [4])
    method = RandomSearch(name="random", epochs_per_candidate=1)
    return method.start(tiny_cells(), TINY, source, feed(2), recipe(EPOCHS), CPU)


@pytest.mark.parametrize(
    "make",
    [lambda: poisoned_search([4], start=PROCESSES["second order, random"]), random_networks],
    ids=["supernet", "networks"],
)
def test_rolled_back_it_has_the_old_state_and_the_next_batches(make: Callable[[], Any]) -> None:
    process = make()
    kept: list[dict[str, Any]] = []
    with pytest.raises(NonFiniteLossError, match=r"in epoch 1, step 2$"):
        list(process.epochs(lambda: kept.append(copied(process.state_dict()))))
    behind = process.train.state_dict()
    assert behind == {"epoch": 0, "batch": 5}
    process.roll_back(kept[1])
    assert process.position == (0, 2)
    assert process.train.state_dict() == behind
    rolled = process.state_dict()
    for state in (rolled, kept[1]):
        (state.get("training") or state).pop("stream" if "training" in state else "streams")
    assert_same_bits(rolled, kept[1])
    assert [record.epoch for record in process.epochs(lambda: None)] == [0, 1]
