"""The table of results as files: markdown for people, CSV for programs."""

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from nas.reading import one_line
from nas.tracking.files import write_atomically
from nas.tracking.table import Row, Spread, Table

CSV_COLUMNS = (
    "status",
    "command",
    "data",
    "space",
    "method",
    "setting",
    "seeds",
    "test_accuracy",
    "test_accuracy_std",
    "valid_accuracy",
    "valid_accuracy_std",
    "params",
    "macs",
    "bops",
    "wall_seconds",
    "folder",
    "reason",
)
COUNTED = {"memory": "memory_bytes"}
"""What a run calls a cost that a person gives another name."""
COSTS = {"params": "params", "macs": "MACs", "bops": "BOPs", "memory_bytes": "bytes"}
"""What a summary calls the costs of a network, and their titles."""
NUMBERS = ("seeds", "test accuracy (%)", "valid accuracy (%)", "params", "MACs", "BOPs", "seconds")


def write_table(folder: Path | str, table: Table) -> None:
    """Writes `summary.md` and `summary.csv` into an existing folder, each atomically."""
    write_atomically(Path(folder) / "summary.md", to_markdown(table))
    write_atomically(Path(folder) / "summary.csv", to_csv(table))


def to_markdown(table: Table) -> str:
    """A table with accuracies in percent, mean ± std over seeds, and below it a line for each run left out.

    The seeds are listed. The setting leaves out data, space and method, which have columns of their own; a column
    without entries is not shown.
    """
    lines = markdown_table([_cells(row) for row in table.rows], numbers=NUMBERS)
    if table.left_out:
        left_out = [f"- `{one_line(item.folder.as_posix())}`: {one_line(item.reason)}" for item in table.left_out]
        lines += [*([""] if lines else []), f"Not counted ({len(left_out)}):", "", *left_out]
    return "\n".join(lines) + "\n"


def markdown_table(rows: Sequence[Mapping[str, str]], *, numbers: Collection[str]) -> list[str]:
    """The lines of a table: a text for each column in each row, `numbers` to the right; no columns without any text."""
    columns = [column for column in rows[0] if any(row[column] for row in rows)] if rows else []
    if not columns:
        return []
    head = [_line(columns), _line(["---:" if column in numbers else "---" for column in columns])]
    return head + [_line([row[column] for column in columns]) for row in rows]


def percent(spread: Spread | None) -> str:
    """An accuracy in percent, with its standard deviation where there is one; nothing for None."""
    if spread is None:
        return ""
    return f"{100 * spread.mean:.2f}" + ("" if spread.std is None else f" ± {100 * spread.std:.2f}")


def to_csv(table: Table) -> str:
    """One line a row, accuracies as fractions in full precision; then one a run left out, with status `left out`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for row in table.rows:
        writer.writerow(_record(row))
    for item in table.left_out:
        writer.writerow({"status": "left out", "folder": item.folder.as_posix(), "reason": item.reason})
    return text.getvalue()


def _cells(row: Row) -> dict[str, str]:
    numbers = (
        ", ".join(map(str, row.seeds)),
        percent(row.test_accuracy),
        percent(row.valid_accuracy),
        f"{row.params:,.0f}",
        f"{row.macs:,.0f}",
        "" if row.bops is None else f"{row.bops:,.0f}",
        f"{row.wall_seconds:,.1f}",
    )
    words = {
        "command": row.command,
        "data": row.data,
        "space": row.space,
        "method": row.method,
        "setting": " ".join(row.further_setting),
    }
    return {**words, **dict(zip(NUMBERS, numbers, strict=True))}


def _record(row: Row) -> dict[str, str | int | float | None]:
    return {
        "status": "finished",
        "command": row.command,
        "data": row.data,
        "space": row.space,
        "method": row.method,
        "setting": " ".join(row.setting),
        "seeds": " ".join(map(str, row.seeds)),
        **_fractions("test_accuracy", row.test_accuracy),
        **_fractions("valid_accuracy", row.valid_accuracy),
        "params": row.params,
        "macs": row.macs,
        "bops": row.bops,
        "wall_seconds": row.wall_seconds,
    }


def _fractions(name: str, spread: Spread | None) -> dict[str, float | None]:
    return {} if spread is None else {name: spread.mean, f"{name}_std": spread.std}


def _line(cells: list[str]) -> str:
    escaped = (one_line(cell).replace("\\", "\\\\").replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
