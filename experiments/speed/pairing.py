"""Programs timed side by side, so that a machine that slows down slows all of them."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

Work = Callable[[], object]


@dataclass(frozen=True)
class Quartiles:
    """The median of some numbers, and between what bounds half of them lie."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> "Quartiles":
        """Between two neighbours they are interpolated."""
        shares = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
        return cls(*torch.tensor(numbers, dtype=torch.float64).quantile(shares).tolist())


def paired(
    works: Mapping[str, Work],
    repetitions: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
    settle: Callable[[], object] = lambda: None,
) -> dict[str, list[float]]:
    """The seconds that each work takes, in each repetition.

    A repetition runs every work once, every second one in the reverse order. `settle` waits until the device has done
    what it was told.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for repetition in range(repetitions):
        for name in list(works)[:: -1 if repetition % 2 else 1]:
            settle()
            start = clock()
            works[name]()
            settle()
            seconds[name].append(clock() - start)
    return seconds


def times_faster(than: Sequence[float], seconds: Sequence[float]) -> Quartiles:
    """How many times faster a work is than another: quartiles of the ratios, repetition by repetition."""
    return Quartiles.of([slow / fast for slow, fast in zip(than, seconds, strict=True)])
