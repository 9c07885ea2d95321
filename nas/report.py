"""Compares runs: `python -m nas.report DIR...` prints a table of results and draws accuracy against MACs."""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from nas.tracking import Row, Runs, Table, collect, is_run, tabulate, to_markdown, write_atomically, write_table

PICTURE = "accuracy_cost.png"


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns the exit status: 0, or 1 after one line `error: ...` on stderr."""
    arguments = _parser().parse_args(argv)
    try:
        table = tabulate(_finished(arguments.folders))
        out = arguments.out or _default_out(arguments.folders[0])
        out.mkdir(parents=True, exist_ok=True)
        sys.stdout.write(to_markdown(table))
        write_table(out, table)
        write_atomically(out / PICTURE, _accuracy_cost(table))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"wrote summary.md, summary.csv and {PICTURE} into {out}", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nas.report",
        description="Compare finished runs: print a markdown table, mean ± standard deviation over seeds, and write it "
        f"as summary.md and summary.csv, with accuracy against MACs as {PICTURE}.",
    )
    parser.add_argument(
        "folders",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="a run, a sweep, or any folder above them; searched in depth",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where the three files go; made if missing. By default the first DIR, so that a sweep keeps its report, "
        "but the current folder if the first DIR is itself a run",
    )
    return parser


def _default_out(first: Path) -> Path:
    return Path() if is_run(first) else first


def _finished(folders: Sequence[Path]) -> Runs:
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"there is no folder {folder}: give the output folder of a run or of a sweep")
    runs = collect(folders)
    if not runs.finished:
        first = f": {runs.left_out[0].folder}: {runs.left_out[0].reason}" if runs.left_out else ""
        raise ValueError(
            f"no finished run in {', '.join(map(str, folders))}; {len(runs.left_out)} unfinished or unreadable{first}"
        )
    return runs


def _accuracy_cost(table: Table) -> bytes:
    """A PNG with one point a row: MACs, and accuracy in percent with its standard deviation."""
    from nas.rendering import Point, scatter  # here, so that --help and errors do not wait for matplotlib

    points = [
        Point(label, row.macs, 100 * row.accuracy.mean, None if row.accuracy.std is None else 100 * row.accuracy.std)
        for label, row in zip(_labels(table.rows), table.rows, strict=True)
        if math.isfinite(row.accuracy.mean)
    ]
    return scatter(points, x_label="MACs", y_label="accuracy (%)", title="Accuracy against cost, mean ± std over seeds")


def _labels(rows: Sequence[Row]) -> list[str]:
    """What tells each row from the others: its method, and whatever else not all rows share."""
    parts = [
        [row.command, row.space, "test" if row.test_accuracy else "validation", *row.further_setting] for row in rows
    ]
    shared = set(parts[0]).intersection(*parts)
    return [
        " ".join([row.method, *(p for p in part if p not in shared)]) for row, part in zip(rows, parts, strict=True)
    ]


if __name__ == "__main__":
    sys.exit(main())
