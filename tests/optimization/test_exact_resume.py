"""A search or a training that is left at any step and taken up again ends with the same bits."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from nas.architecture import EpochRecord
from nas.optimization import (
    DiscreteLoss,
    FirstOrder,
    GradientSearch,
    Homogeneous,
    RandomSearch,
    ScoreFunction,
    SearchProcess,
    SecondOrder,
    SingleLevel,
    Target,
    Training,
)
from nas.relaxation import AnnealedSoftmax, Multinomial, Softmax
from nas.tracking import load_checkpoint, save_checkpoint
from tests.optimization.budgets import costed_space
from tests.optimization.contracts import assert_same_bits
from tests.optimization.toys import CPU, TINY, Gumbel, adam, feed, recipe, small_space, tiny_cells

EPOCHS, STEPS = 3, 2


class Left(Exception):
    """The process was left."""


def gradient(bilevel: Any = FirstOrder, relaxation: Any = Softmax, space: Any = tiny_cells, budget: Any = None) -> Any:
    """A search by gradients, made anew by each call with a seed."""

    def start(seed: int) -> SearchProcess:
        torch.manual_seed(seed)
        method = GradientSearch(
            name="test", relaxation=relaxation(), bilevel=bilevel, arch_optimizer=adam, arch_warmup=0.4
        )
        made = space()
        limit = None if budget is None else budget(made.cost("macs", TINY))
        return method.start(made, TINY, feed(1, steps=STEPS), feed(2), recipe(EPOCHS), CPU, budget=limit)

    return start


def candidates(method: Callable[[], Any], space: Any) -> Any:
    def start(seed: int) -> SearchProcess:
        torch.manual_seed(seed)
        process = method().start(space(), TINY, feed(1, steps=STEPS), feed(2), recipe(EPOCHS), CPU)
        torch.manual_seed(seed + 10)  # genotypes are drawn by the seed of a run, which a resumed one has too
        return process

    return start


PROCESSES = {
    "first order": gradient(),
    "second order": gradient(SecondOrder),
    "second order, random": gradient(SecondOrder, Gumbel),
    "one level": gradient(SingleLevel),
    "running statistics": gradient(space=lambda: small_space(running=True)),
    "annealed": gradient(relaxation=AnnealedSoftmax),
    "drawn": gradient(ScoreFunction, Multinomial),
    "budget": gradient(space=costed_space, budget=lambda cost: Target(cost, cost.smallest()[0] * 1.5)),
    "random networks": candidates(lambda: RandomSearch(name="random", epochs_per_candidate=2), tiny_cells),
    "homogeneous networks": candidates(lambda: Homogeneous(name="homogeneous"), costed_space),
}

MARKS = dict.fromkeys(("first order", "second order", "drawn", "one level", "annealed"), pytest.mark.slow)
"""Those that are like others here, or that others contain."""


def timeless(record: EpochRecord) -> dict[str, Any]:
    return {key: value for key, value in record.to_dict().items() if key != "seconds"}


def ran(process: SearchProcess, stop: int | None = None) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The records up to the end or until step `stop` was taken, and the state there."""
    records, steps, state = [], 0, None

    def on_step() -> None:
        nonlocal steps, state
        steps += 1
        if steps == stop:
            state = process.state_dict()
            raise Left

    try:
        for record in process.epochs(on_step):
            records.append(timeless(record))
    except Left:
        pass
    return records, state


def through_a_file(state: dict[str, Any] | None, folder: Any) -> dict[str, Any]:
    assert state is not None
    save_checkpoint(folder / "checkpoint.pt", state)
    return load_checkpoint(folder / "checkpoint.pt")


@pytest.mark.parametrize(
    "stops", [pytest.param((2, 5), id="ends"), pytest.param((1, 3, 4), id="others", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS.get(name, ())) for name in PROCESSES])
def test_left_after_any_step_it_ends_the_same(name: str, stops: tuple[int, ...], tmp_path: Any) -> None:
    """After the last step of an epoch, and in the middle of one with steps of the alphas; later at all the others."""
    start = PROCESSES[name]
    whole = start(0)
    wanted, _ = ran(whole)
    assert len(wanted) == EPOCHS
    for stop in stops:
        first, state = ran(start(0), stop)
        again = start(7 if "networks" not in name else 0)
        again.load_state_dict(through_a_file(state, tmp_path))
        assert again.position == ((stop - 1) // STEPS, (stop - 1) % STEPS + 1)  # an epoch ends after its last step
        rest, _ = ran(again)
        assert first + rest == wanted, stop
        assert_same_bits(again.state_dict(), whole.state_dict())


@pytest.mark.parametrize("name", ["second order, random", "budget", "random networks"])
def test_left_between_two_epochs_it_ends_the_same(name: str, tmp_path: Any) -> None:
    start = PROCESSES[name]
    whole = start(0)
    wanted, _ = ran(whole)
    for epochs in range(1, EPOCHS + 1):
        process = start(0)
        records = [timeless(record) for _, record in zip(range(epochs), process.epochs(lambda: None), strict=False)]
        state = through_a_file(process.state_dict(), tmp_path)
        again = start(0)
        again.load_state_dict(state)
        assert again.position == (epochs, 0)
        assert records[:epochs] + ran(again)[0] == wanted
        assert_same_bits(again.state_dict(), whole.state_dict())


def test_left_at_every_step_in_turn_it_ends_the_same(tmp_path: Any) -> None:
    start = PROCESSES["second order, random"]
    whole = start(0)
    wanted, _ = ran(whole)
    process, records = start(0), []
    for _ in range(EPOCHS * STEPS - 1):
        some, state = ran(process, 1)
        records += some
        process = start(5)
        process.load_state_dict(through_a_file(state, tmp_path))
    assert records + ran(process)[0] == wanted
    assert_same_bits(process.state_dict(), whole.state_dict())


def test_a_search_can_be_made_longer() -> None:
    """The epochs that were done stay, and those to come are those of the longer search."""
    longer = gradient()(0)
    longer.recipe = recipe(EPOCHS + 2)
    short = gradient()(0)
    ran(short)
    longer.load_state_dict(short.state_dict())
    assert [record["epoch"] for record in ran(longer)[0]] == [EPOCHS, EPOCHS + 1]


def test_networks_trained_in_turn_keep_their_shares() -> None:
    def start(epochs: int) -> SearchProcess:
        torch.manual_seed(0)
        method = RandomSearch(name="random", epochs_per_candidate=2)
        return method.start(tiny_cells(), TINY, feed(1), feed(2), recipe(epochs), CPU)

    process = start(5)
    ran(process)
    with pytest.raises(ValueError, match=r"^the run trained random 0 for 3 epochs, where this one has random 0 for 2"):
        start(4).load_state_dict(process.state_dict())


def training(seed: int) -> Training:
    torch.manual_seed(seed)
    space = tiny_cells()
    network = space.network(space.sample(torch.Generator().manual_seed(3)), TINY)
    return Training(network, feed(1, steps=STEPS), recipe(EPOCHS), DiscreteLoss(F.cross_entropy), CPU, drop_path=0.5)


@pytest.mark.parametrize("stop", range(1, EPOCHS * STEPS))
def test_a_training_left_after_any_step_ends_the_same(stop: int, tmp_path: Any) -> None:
    whole: Any = training(0)
    wanted, _ = ran(whole)
    process: Any = training(0)
    first, state = ran(process, stop)
    again: Any = training(4)
    again.load_state_dict(through_a_file(state, tmp_path))
    assert first + ran(again)[0] == wanted
    assert_same_bits(again.state_dict(), whole.state_dict())
