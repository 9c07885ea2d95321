"""The picture of a report: accuracy against cost, and which networks compete in a Pareto front."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas.tracking import COSTS, CandidateRow, Row, Spread

VALIDATION, SUPERNET = "validation", "supernet validation"
"""The accuracy of a network trained alone, and that of the supernet that a genotype was derived from."""

_OF_TRAINING = ("download", "workers", "padding", "flip", "cutout", "mean", "std")
"""Settings of data that change neither the images that accuracies are measured on nor their shape."""


@dataclass(frozen=True)
class _Entry:
    label: str
    x: float | None
    accuracy: Spread
    measure: str
    row: Row | CandidateRow


def accuracy_cost(rows: Sequence[Row], candidates: Sequence[CandidateRow], cost: str, *, by_space: bool) -> bytes:
    """A PNG with one point a row and a candidate: a cost, and accuracy in percent with its standard deviation.

    Networks of one data set compete in a front, whatever their space, unless `by_space`; those whose accuracies were
    measured otherwise have one of their own, and so have the supernets of each space.

    Raises:
        ValueError: a row whose runs did not count the cost.
    """
    from nas.rendering import Point, scatter  # here, so that --help and errors do not wait for matplotlib

    measures = [_measure(row, candidates) for row in rows]
    entries = [
        _Entry(label, getattr(row, cost), row.accuracy, measure, row)
        for label, row, measure in zip(_labels(rows, measures), rows, measures, strict=True)
    ]
    entries += [
        _Entry(_group(row, candidates), row.costs.get(cost), row.valid_accuracy, VALIDATION, row) for row in candidates
    ]
    names = data_names([entry.row.config for entry in entries])
    several_data, several_spaces = len(set(names)) > 1, len({entry.row.space for entry in entries}) > 1
    points = []
    for entry, name in zip(entries, names, strict=True):
        if entry.x is None:
            raise ValueError(
                f"{entry.label} has no {cost}: its runs did not count it; give --cost macs or --cost params"
            )
        if math.isfinite(entry.accuracy.mean):
            apart = several_spaces and (by_space or entry.measure == SUPERNET)
            words = (entry.measure, *([name or "unknown data"] if several_data else []), *([entry.row.space] * apart))
            std = None if entry.accuracy.std is None else 100 * entry.accuracy.std
            points.append(Point(entry.label, entry.x, 100 * entry.accuracy.mean, std, ", ".join(words)))
    on = "" if several_data or not names[0] else f" on {names[0]}"
    title = f"Accuracy against cost{on}, mean ± std over seeds"
    return scatter(points, x_label=COSTS[cost], y_label="accuracy (%)", title=title)


def data_names(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the data of each of these runs is called, alike only where accuracies and costs compare.

    Where data sets of one name differ, as in their split or the size of their images, what differs is said.
    """
    found = [
        {key: value for key, value in config.items() if key.startswith("data.") and key[5:] not in _OF_TRAINING}
        for config in configs
    ]
    names = []
    for config, settings in zip(configs, found, strict=True):
        namesakes = [
            other for each, other in zip(configs, found, strict=True) if each.get("data") == config.get("data")
        ]
        keys = sorted({key for other in namesakes for key in other})
        differing = [key for key in keys if any(other.get(key) != namesakes[0].get(key) for other in namesakes)]
        names.append(" ".join([str(config.get("data", "")), *(f"{key}={settings.get(key)}" for key in differing)]))
    return names


def _group(row: CandidateRow, rows: Sequence[CandidateRow]) -> str:
    """What the candidates of one method are called, with the space and the data where there are several."""
    several = [key for key in ("space", "data") if len({getattr(other, key) for other in rows}) > 1]
    return ", ".join([f"{row.method} candidates, {VALIDATION}", *(getattr(row, key) for key in several)])


def _measure(row: Row, candidates: Sequence[CandidateRow]) -> str:
    """Which accuracy a row has; that of a supernet is none of the network whose cost stands beside it."""
    if row.test_accuracy:
        return "test"
    alone = any(
        (one.space, one.method, one.setting, one.config) == (row.space, row.method, row.setting, row.config)
        for one in candidates
    )
    return VALIDATION if alone else SUPERNET


def _labels(rows: Sequence[Row], measures: Sequence[str]) -> list[str]:
    """What tells each row from the others: its method, and whatever else not all rows share."""
    parts = [
        [word for word in (row.command, row.data, row.space, measure, *row.further_setting) if word]
        for row, measure in zip(rows, measures, strict=True)
    ]
    shared = set(parts[0]).intersection(*parts)
    return [
        " ".join([row.method, *(p for p in part if p not in shared)]) for row, part in zip(rows, parts, strict=True)
    ]
