"""Compares runs: `python -m nas.report DIR...` prints tables of results and draws accuracy against cost."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from nas.cli.accuracy_cost import accuracy_cost
from nas.reading import one_line
from nas.tracking import (
    COSTS,
    COUNTED,
    Runs,
    candidates_to_markdown,
    collect,
    is_run,
    tabulate,
    tabulate_candidates,
    to_markdown,
    write_atomically,
    write_candidates,
    write_table,
)

PICTURE = "accuracy_cost.png"


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns the exit status: 0, or 1 after one line `error: ...` on stderr."""
    arguments = _parser().parse_args(argv)
    try:
        runs = _finished(arguments.folders)
        table, candidates = tabulate(runs), tabulate_candidates(runs)
        cost = COUNTED.get(arguments.cost, arguments.cost)
        picture = accuracy_cost(table.rows, candidates, cost, by_space=arguments.fronts == "space")
        out = arguments.out or _default_out(arguments.folders[0])
        out.mkdir(parents=True, exist_ok=True)
        sys.stdout.write(to_markdown(table))
        write_table(out, table)
        if candidates:
            sys.stdout.write("\n" + candidates_to_markdown(candidates))
            write_candidates(out, candidates)
        write_atomically(out / PICTURE, picture)
    except (ValueError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    written = ["summary.md", "summary.csv", *(["candidates.md", "candidates.csv"] if candidates else [])]
    print(f"wrote {', '.join(written)} and {PICTURE} into {out}", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nas.report",
        description="Compare finished runs: print a markdown table, mean ± standard deviation over seeds, and write it "
        "as summary.md and summary.csv; the networks that baselines trained likewise, as candidates.md and .csv; with "
        f"accuracy against cost as {PICTURE}.",
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
        help="where the files go; made if missing. By default the first DIR, so that a sweep keeps its report, "
        "but the current folder if the first DIR is itself a run",
    )
    parser.add_argument(
        "--cost",
        choices=[*(name for name in COSTS if name not in COUNTED.values()), *COUNTED],
        default="macs",
        help="what the picture draws accuracy against (default: macs)",
    )
    parser.add_argument(
        "--fronts",
        choices=["data", "space"],
        default="data",
        help="what competes in one Pareto front: all networks of one data set, or those of one space only. Either way "
        "test accuracies, validation accuracies of networks trained alone, and those of the supernets of each space "
        "compete apart (default: data)",
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


if __name__ == "__main__":
    sys.exit(main())
