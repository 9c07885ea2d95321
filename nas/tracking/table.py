"""The table of results: one row for the runs that differ in the seed alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nas.tracking.runs import LeftOut, Runs, grouped, shared_setting
from nas.tracking.summary import Summary


@dataclass(frozen=True)
class Spread:
    """A mean over runs and its sample standard deviation (ddof = 1), which a single run does not have."""

    mean: float
    std: float | None


@dataclass(frozen=True)
class Row:
    """The mean over the runs of one group: accuracies as fractions, None where no run measured one.

    `config` is that of the runs, `data` the name of their data, where the summaries have it.
    """

    command: str
    space: str
    method: str
    setting: tuple[str, ...]
    seeds: tuple[int, ...]
    test_accuracy: Spread | None
    valid_accuracy: Spread | None
    params: float
    macs: float
    wall_seconds: float
    bops: float | None = None
    memory_bytes: float | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def data(self) -> str:
        """The name of the data set; "" in a run of a former version."""
        return str(self.config.get("data", ""))

    @property
    def further_setting(self) -> tuple[str, ...]:
        """The setting without what `space`, `method` and `data` say already."""
        return further_setting(self.setting, self.space, self.method, self.data)

    @property
    def accuracy(self) -> Spread:
        """The test accuracy where there is one, else the validation accuracy."""
        accuracy = self.test_accuracy or self.valid_accuracy
        assert accuracy is not None, "each command's METRICS hold one of the two"
        return accuracy


@dataclass(frozen=True)
class Table:
    """The rows, sorted by command, space, method and setting, and the runs that they do not count."""

    rows: tuple[Row, ...]
    left_out: tuple[LeftOut, ...]


def further_setting(setting: Sequence[str], space: str, method: str, data: str) -> tuple[str, ...]:
    """A setting without the space, the method and the data, which have columns of their own."""
    said = (f"space={space}", f"method={method}", f"data={data}")
    return tuple(override for override in setting if override not in said)


def tabulate(runs: Runs) -> Table:
    """Groups the finished runs over their seeds and averages each group."""
    return Table(tuple(map(_row, grouped(runs.finished.values()))), runs.left_out)


def spread(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation of at least one value."""
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)


def _row(members: Sequence[Summary]) -> Row:
    return Row(
        command=members[0].command,
        space=members[0].space,
        method=members[0].method,
        setting=shared_setting(members),
        seeds=tuple(summary.seed for summary in members),
        test_accuracy=_spread(members, "test_accuracy"),
        valid_accuracy=_spread(members, "valid_accuracy"),
        params=float(np.mean([summary.params for summary in members])),
        macs=float(np.mean([summary.macs for summary in members])),
        wall_seconds=float(np.mean([summary.wall_seconds for summary in members])),
        bops=_mean(members, "bops"),
        memory_bytes=_mean(members, "memory_bytes"),
        config=members[0].config,
    )


def _spread(members: Sequence[Summary], metric: str) -> Spread | None:
    values = [summary.metrics[metric] for summary in members if metric in summary.metrics]
    return spread(values) if values else None


def _mean(members: Sequence[Summary], metric: str) -> float | None:
    """The mean of what all have counted, or None."""
    values = [summary.metrics[metric] for summary in members if metric in summary.metrics]
    return float(np.mean(values)) if len(values) == len(members) else None
