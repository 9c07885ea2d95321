"""Ranks of which one sees a loss that is not finite skip the step together, or stop at it together."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from nas.optimization import Feed, NonFiniteLossError, search
from nas.optimization.objective import Batch
from nas.parallel import Ranks
from tests.optimization.toys import recipe
from tests.parallel.processes import alone, on_ranks
from tests.parallel.searches import Case, feed


def poisoned(ranks: Ranks, good: Feed) -> Feed:
    """The second batch has one NaN image, the last one: only the last rank sees it."""

    def stream() -> Iterator[Batch]:
        for number, (images, labels) in enumerate(good.stream):
            if number == 1 and ranks.rank == ranks.size - 1:
                images[-1] = math.nan
            yield images, labels

    return replace(good, stream=stream())


def ended(ranks: Ranks) -> dict[str, Any]:
    space, bilevel = Case("no norm", sync=False).bilevel(ranks)
    feeds = poisoned(ranks, feed(ranks, 1000, 3)), feed(ranks, 2000, 3)
    with pytest.raises(NonFiniteLossError) as stopped:
        list(search(space, bilevel, *feeds, recipe(1)))
    space, bilevel = Case("no norm", sync=False).bilevel(ranks)
    feeds = poisoned(ranks, feed(ranks, 1000, 3)), feed(ranks, 2000, 3)
    (record,) = search(space, bilevel, *feeds, recipe(1, skips=True))
    return {
        "stopped": str(stopped.value),
        "loss": record.train_loss,
        "alphas": dict(bilevel.arch.state_dict()),
        "weights": dict(bilevel.objective.supernet.state_dict()),
    }


@pytest.mark.slow
def test_they_stop_and_skip_together() -> None:
    """And do what one process with the same batches does."""
    first, second = on_ranks(ended)
    single = alone(ended)
    assert first["stopped"] == second["stopped"] == single["stopped"]
    assert single["stopped"] == "the training loss became nan in epoch 0, step 2"
    for part in ("loss", "alphas", "weights"):
        torch.testing.assert_close(first[part], second[part], rtol=0, atol=0)
        torch.testing.assert_close(first[part], single[part], rtol=1e-9, atol=1e-9)
    assert math.isfinite(single["loss"])
