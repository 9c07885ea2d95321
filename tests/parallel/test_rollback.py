"""Two ranks of which one sees a loss that is not finite go back together, each to its own part of the last state."""

import copy
import math
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.cli.resuming import Keeper
from nas.cli.rollback import epochs_of
from nas.cli.signals import StopSignals
from nas.optimization import Feed
from nas.optimization.gradient_search import GradientSearchProcess
from nas.optimization.objective import Batch
from nas.parallel import Ranks
from tests.marks import slow
from tests.optimization.contracts import assert_same_bits
from tests.optimization.toys import Endless, recipe
from tests.parallel.processes import on_ranks
from tests.parallel.searches import Case, feed
from tests.parallel.test_exact_resume import seekable

CASE = Case("running statistics", gumbel=True, sync=False, steps=2, epochs=2)
"""Random mixtures, and buffers that differ between the ranks until an epoch ends."""


def bad_batch(ranks: Ranks) -> Feed:
    """The fourth batch is NaN on the last rank: the second step of the second epoch."""

    def batches() -> Iterator[Batch]:
        for number, (images, labels) in enumerate(feed(ranks, 1000, CASE.steps).stream):
            bad = number == 3 and ranks.rank == ranks.size - 1
            yield images * math.nan if bad else images, labels

    return replace(feed(ranks, 1000, CASE.steps), stream=Endless(batches))


def bad_measure(ranks: Ranks) -> Feed:
    """What the last rank measures with after the second epoch is NaN, once."""
    good, asked = seekable(ranks, 2000), []

    def in_order() -> list[Batch]:
        asked.append(1)
        bad = len(asked) == 2 and ranks.rank == ranks.size - 1
        return [(images * math.nan if bad else images, labels) for images, labels in good.in_order()]

    return replace(good, in_order=in_order)


def rolled_back(ranks: Ranks, folder: str, where: str) -> dict[str, Any]:
    space, bilevel = CASE.bilevel(ranks)
    train = bad_batch(ranks) if where == "training" else seekable(ranks, 1000)
    valid = bad_measure(ranks) if where == "validation" else seekable(ranks, 2000)
    settings = recipe(CASE.epochs, rate=0.1)
    process = GradientSearchProcess(space, bilevel, train, valid, settings, warmup_epochs=0)

    def state() -> dict[str, Any]:
        return {"position": list(process.position), **process.state_dict()}

    signals, gone_back = StopSignals([], alone=False), []
    every = 1 if where == "training" else None
    keeper = Keeper(Path(folder), every, state, epoch=0, signals=signals, ranks=ranks)
    roll_back = process.roll_back

    def noted(last: dict[str, Any]) -> None:
        roll_back(copy.deepcopy(last))  # optimizers go on with the tensors that they are given
        gone_back.append({"last": last, "now": copy.deepcopy(state())})

    process.roll_back = noted  # type: ignore[method-assign, assignment]
    losses = []
    for record in epochs_of(process, keeper, lambda: keeper.after_step(process.position[1]), "rollback"):
        keeper.after_epoch()
        losses.append([record.train_loss, record.valid_loss])
    return {"gone_back": gone_back, "losses": losses, "end": state(), "rollbacks": keeper.rollbacks}


@pytest.mark.parametrize(("where", "position"), [("training", [1, 1]), *slow(("validation", [1, 0]))])
def test_they_go_back_together_and_on_with_other_batches(where: str, position: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = on_ranks(rolled_back, folder, where)
    for rank in found:
        (once,) = rank["gone_back"]
        assert once["last"]["position"] == position
        for state in (once["last"], once["now"]):  # the buffers there are those of whoever took it; `ranks` has both
            state["weights"] = {name: value for name, value in state["weights"].items() if "running" not in name}
        for part in ("position", "weights", "alphas", "weight_optimizer", "arch_optimizer", "ranks"):
            assert_same_bits(once["now"][part], once["last"][part])
        assert [stream["batch"] for stream in once["now"]["streams"]] == [4, 4]  # none comes again
        assert [stream["batch"] for stream in rank["end"]["streams"]] == [4 + 2 - position[1]] * 2
        assert len(rank["losses"]) == CASE.epochs
        assert torch.tensor(rank["losses"]).isfinite().all()
        assert rank["rollbacks"] == 0
    buffers = [rank["buffers"] for rank in found[0]["gone_back"][0]["now"]["ranks"]]
    differing = [name for name, value in buffers[0].items() if not torch.equal(value, buffers[1][name])]
    assert bool(differing) == (where == "training")  # within an epoch each has its own
    for part in ("losses", "end"):
        assert_same_bits(found[1][part], found[0][part])
