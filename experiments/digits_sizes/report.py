"""What the study found: a table and a picture for each space."""

import argparse
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.digits_sizes.study import ARMS, Arm, Job
from nas.rendering import Point, scatter
from nas.tracking import read_summary


@dataclass(frozen=True)
class Row:
    """The retrained networks of one method at one limit, over the seeds."""

    method: str
    limit: str
    costs: tuple[float, ...]
    accuracies: tuple[float, ...]


def write_report(every: Sequence[Job], out: Path, options: argparse.Namespace) -> None:
    """Writes results.md, results.csv and a picture of accuracy against cost for each space."""
    blocks = [
        f"Searches of {options.epochs} epochs, networks retrained for {options.retrain_epochs}, seeds 0 to "
        f"{options.seeds - 1}. Test accuracy in percent, mean ± sample standard deviation, and each seed."
    ]
    lines = [["space", "limit", "method", "seed", "cost", "test_accuracy"]]
    for arm in ARMS:
        rows = _rows(arm, [job for job in every if job.space == arm.space])
        blocks.append(_table(arm, rows))
        points = [
            Point(row.method, float(np.mean(row.costs)), 100 * float(np.mean(row.accuracies)), _spread(row.accuracies))
            for row in rows
        ]
        picture = scatter(points, x_label=arm.cost, y_label="test accuracy (%)", title=f"{arm.space} on digits")
        (out / f"{arm.space}.png").write_bytes(picture)
        lines += [
            [arm.space, row.limit, row.method, str(seed), f"{cost:.0f}", f"{accuracy:.6f}"]
            for row in rows
            for seed, (cost, accuracy) in enumerate(zip(row.costs, row.accuracies, strict=True))
        ]
    (out / "results.md").write_text("\n\n".join(blocks) + "\n")
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    (out / "results.csv").write_text(text.getvalue())


def _rows(arm: Arm, members: Sequence[Job]) -> list[Row]:
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in members:
        groups.setdefault((job.limit, job.method), []).append(job)
    rows = []
    for (limit, method), found in groups.items():
        summaries = [read_summary(job.folder) for job in found]
        costs = tuple(summary.macs if arm.cost == "macs" else summary.metrics[arm.cost] for summary in summaries)
        rows.append(Row(method, limit, costs, tuple(summary.metrics["test_accuracy"] for summary in summaries)))
    return sorted(rows, key=lambda row: (row.limit, row.method))


def _table(arm: Arm, rows: Sequence[Row]) -> str:
    lines = [f"| {arm.space}: limit | method | {arm.cost} | test accuracy |", "|---|---|--:|---|"]
    for row in rows:
        mean, each = 100 * float(np.mean(row.accuracies)), ", ".join(f"{100 * x:.2f}" for x in row.accuracies)
        error = _spread(row.accuracies)
        spread = "" if error is None else f" ± {error:.2f}"
        lines.append(f"| {row.limit} | {row.method} | {np.mean(row.costs):,.0f} | {mean:.2f}{spread} ({each}) |")
    return "\n".join(lines)


def _spread(accuracies: Sequence[float]) -> float | None:
    return 100 * float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None
