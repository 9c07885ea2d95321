"""The table of the killed runs."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COLUMNS = ("case", "runs", "kills", "identical", "worst difference", "seconds")


def write_report(out: Path, names: Sequence[str], lines: Sequence[Mapping[str, Any]]) -> None:
    """Writes kills.md and kills.csv: a row for each case, and one for all of them."""
    rows = [_row(name, [line for line in lines if line["case"] == name]) for name in names]
    rows.append(_row("all", lines))
    (out / "kills.md").write_text(_markdown(rows))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    (out / "kills.csv").write_text(text.getvalue())


def _row(name: str, lines: Sequence[Mapping[str, Any]]) -> tuple[str, int, int, int, str, int]:
    """The worst difference of a run that failed is infinite; JSON keeps an infinity as null."""
    sizes = [float("inf") if line["worst"] is None else line["worst"] for line in lines]
    return (
        name,
        len(lines),
        sum(line["kills"] for line in lines),
        sum(line["identical"] for line in lines),
        f"{max(sizes, default=0.0):.3g}",
        round(sum(line["seconds"] for line in lines)),
    )


def _markdown(rows: Sequence[Sequence[Any]]) -> str:
    head = f"| {' | '.join(COLUMNS)} |\n|---|{'--:|' * (len(COLUMNS) - 1)}\n"
    return head + "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)
