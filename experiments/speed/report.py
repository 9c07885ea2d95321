"""The results as a page and as data."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from experiments.speed.machine import Rates
from experiments.speed.measure import COUNTED_BATCH, Count, Row
from experiments.speed.workload import BATCHED, EDGE_BY_EDGE
from nas.tracking.files import json_data

COLUMNS = (
    "space",
    "work",
    "batch",
    "variant",
    "ms",
    "times faster (quartiles)",
    "images/s",
    "peak MB",
    "kernels",
    "MB moved",
    "floor ms: operations",
    "floor ms: bytes",
    "compile s",
)
"""Of the table of times."""


@dataclass(frozen=True)
class Results:
    """All that a run found, and where."""

    machine: dict[str, Any]
    versions: dict[str, str]
    options: dict[str, Any]
    rates: Rates
    rows: Sequence[Row]
    counts: Sequence[Count]

    def data(self) -> dict[str, Any]:
        """Everything, as plain values."""
        data: dict[str, Any] = json_data(asdict(self))
        for row, measured in zip(data["rows"], self.rows, strict=True):
            row["median_seconds"] = measured.median_seconds
        return data

    def page(self, *, breakdown: bool = False) -> str:
        """Everything but single repetitions, as Markdown."""
        blocks = [
            facts(machine=self.machine, versions=self.versions, options=self.options),
            f"Measured rates: {self.rates.macs / 1e9:,.1f} G multiply-accumulates/s in a matrix product, "
            f"{self.rates.bytes / 1e9:,.1f} GB/s in a copy.",
            table(COLUMNS, map(_cells, self.rows), words=4),
            f"Kernels and bytes of one forward and backward pass in float32 at batch {COUNTED_BATCH}:",
            _table_of_counts(self.counts),
            *(_tables_of_operations(self.counts) if breakdown else ()),
        ]
        return "\n\n".join(blocks) + "\n"


def facts(**named: dict[str, Any]) -> str:
    """A line for each group of facts."""
    return "\n".join(
        f"- {title}: {', '.join(f'{name} {value}' for name, value in told.items())}" for title, told in named.items()
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int) -> str:
    """A table in Markdown, whose first columns are words and whose others are numbers."""
    lines = [head, ["---"] * words + ["--:"] * (len(head) - words), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(row: Row) -> list[str]:
    seconds, faster = row.median_seconds, row.faster
    return [
        row.space,
        row.work,
        str(row.batch),
        row.variant,
        f"failed: {row.failed}".replace("|", "/") if row.failed else number(seconds, 1e-3),
        f"{faster.median:.2f} ({faster.low:.2f} to {faster.high:.2f})" if faster else "–" if row.failed else "1",
        number(row.batch / seconds if seconds else None),
        number(row.peak_bytes, 1e6),
        f"{row.kernels:,}" if row.kernels is not None else "–",
        number(row.bytes, 1e6),
        number(row.floor_macs, 1e-3),
        number(row.floor_bytes, 1e-3),
        number(row.compile_seconds),
    ]


def number(value: float | None, unit: float = 1.0) -> str:
    """Three digits, in a unit."""
    if value is None:
        return "–"
    return f"{value / unit:,.0f}" if value >= 100 * unit else f"{value / unit:.3g}"


def _table_of_counts(counts: Sequence[Count]) -> str:
    head = ["space", "counted", "kernels edge by edge", "batched", "share", "MB edge by edge", "batched", "share"]
    rows = []
    for one, other in _pairs(counts):
        kernels = [sum(count.kernels.values()) for count in (one, other)]
        bytes = [sum(count.bytes.values()) for count in (one, other)]
        shares = [f"{both[1] / both[0]:.2f}" for both in (kernels, bytes)]
        numbers = [*(f"{k:,}" for k in kernels), shares[0], *(number(b, 1e6) for b in bytes), shares[1]]
        rows.append([one.space, one.device, *numbers])
    return table(head, rows, words=2)


def _tables_of_operations(counts: Sequence[Count]) -> Iterable[str]:
    head = ["operation", "kernels edge by edge", "batched", "MB edge by edge", "batched"]
    for one, other in _pairs(counts):
        both = (one, other)
        names = sorted({*one.kernels, *other.kernels}, key=lambda name: -one.bytes.get(name, 0))
        rows = [
            [
                f"`{name}`",
                *(str(count.kernels.get(name, 0)) for count in both),
                *(number(count.bytes.get(name, 0), 1e6) for count in both),
            ]
            for name in names
        ]
        yield f"{one.space}, {one.device}:"
        yield table(head, rows, words=1)


def _pairs(counts: Sequence[Count]) -> list[tuple[Count, Count]]:
    """Edge by edge and batched, of one space and device."""
    batched = {(count.space, count.device): count for count in counts if count.variant == BATCHED}
    return [(count, batched[count.space, count.device]) for count in counts if count.variant == EDGE_BY_EDGE]
