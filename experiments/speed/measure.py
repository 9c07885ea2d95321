"""The measurements: rows of variants timed side by side, and kernels counted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from unittest.mock import patch

import torch

from experiments.speed.kernels import Kernels
from experiments.speed.machine import Rates, settled
from experiments.speed.memory import peak_bytes
from experiments.speed.pairing import Quartiles, Work, paired, times_faster
from experiments.speed.workload import (
    BATCHED,
    COMPILED,
    EDGE_BY_EDGE,
    ORDERS,
    RECOMPUTED,
    Subject,
    step,
)
from nas.optimization.compilation import first_line
from nas.supernet import cpu

COUNTED_BATCH = 4


@dataclass(frozen=True)
class Row:
    """One variant at one work.

    Attributes:
        seconds: of each repetition.
        faster: how many times faster than edge by edge, by the ratios of the repetitions.
        peak_bytes: the most memory at once, beyond that of weights, alphas and optimizers.
        kernels: operations on this device; none of a compiled program, which cannot be looked into.
        bytes: what they read and write.
        floor_macs: seconds that the multiply-accumulates of the definition take at the rate of a matrix product.
        floor_bytes: seconds that `bytes` take at the rate of a copy.
        compile_seconds: the first call, where the variant is compiled.
        failed: why there are no numbers.
    """

    space: str
    work: str
    batch: int
    variant: str
    seconds: Sequence[float] = ()
    faster: Quartiles | None = None
    peak_bytes: int | None = None
    kernels: int | None = None
    bytes: int | None = None
    floor_macs: float | None = None
    floor_bytes: float | None = None
    compile_seconds: float | None = None
    failed: str | None = None

    @property
    def median_seconds(self) -> float | None:
        """The median over the repetitions."""
        return Quartiles.of(self.seconds).median if self.seconds else None


@dataclass(frozen=True)
class Count:
    """Kernels and bytes of one forward and backward pass in float32, by operation."""

    space: str
    variant: str
    device: str
    kernels: dict[str, int]
    bytes: dict[str, int]


@dataclass(frozen=True)
class Bench:
    """Where and how all rows are measured."""

    device: torch.device
    autocast: torch.dtype | None
    repetitions: int
    recomputed: bool
    compiled: bool
    rates: Rates

    def rows(self, subject: Subject, order: int, batch: int) -> Iterator[Row]:
        """The variants at one work, in their order."""
        asked = {RECOMPUTED: self.recomputed, COMPILED: self.compiled}
        names = [EDGE_BY_EDGE, BATCHED, *(name for name, wanted in asked.items() if wanted)]
        works: dict[str, Work] = {}
        first_call: dict[str, float] = {}
        failed: dict[str, str] = {}
        for name in names:
            search = subject.search(name, method=ORDERS[order].method, device=self.device, autocast=self.autocast)
            work = step(search, order, subject, batch, self.device)
            try:
                first_call[name] = self._first_call(work, name)
                works[name] = work
            except Exception as error:
                if name != COMPILED:
                    raise
                failed[name] = first_line(error)
        peaks = {name: peak_bytes(work, self.device) for name, work in works.items()}
        counts = {name: _counted(work) for name, work in works.items() if name != COMPILED}
        seconds = paired(works, self.repetitions, settle=settled(self.device))
        floor_macs = subject.macs * batch * ORDERS[order].passes / self.rates.macs
        for name in names:
            head = (subject.space, ORDERS[order].work, batch, name)
            if name in failed:
                yield Row(*head, failed=failed[name])
                continue
            count = counts.get(name)
            yield Row(
                *head,
                seconds=seconds[name],
                faster=times_faster(seconds[EDGE_BY_EDGE], seconds[name]) if name != EDGE_BY_EDGE else None,
                peak_bytes=peaks[name],
                kernels=count.count if count else None,
                bytes=count.bytes if count else None,
                floor_macs=floor_macs,
                floor_bytes=count.bytes / self.rates.bytes if count else None,
                compile_seconds=first_call[name] if name == COMPILED else None,
            )

    def _first_call(self, work: Work, name: str) -> float:
        if name == COMPILED:
            torch.compiler.reset()  # compiled programs of other rows count towards the limit of recompilations
        return paired({name: work}, 1, settle=settled(self.device))[name][0]


def count(subject: Subject, device: torch.device) -> Iterator[Count]:
    """Kernels and bytes edge by edge and batched, on this device and as on a GPU.

    On a CPU some operations are split into several that are fast there; without that a CPU runs the operations that a
    GPU would.
    """
    yield from _counts(subject, device, "as on this device")
    with patch.object(cpu, "SPLIT_ON", set()):
        yield from _counts(subject, torch.device("cpu"), "as on a GPU")


def _counts(subject: Subject, device: torch.device, label: str) -> Iterator[Count]:
    for name in (EDGE_BY_EDGE, BATCHED):
        kernels = _counted(step(subject.search(name, device=device), 0, subject, COUNTED_BATCH, device))
        yield Count(subject.space, name, label, dict(kernels.counts), dict(kernels.traffic))


def _counted(work: Work) -> Kernels:
    with Kernels() as kernels:
        work()
    return kernels
