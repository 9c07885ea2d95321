"""python -m experiments.faults.fuzz: reads thousands of damaged files of every kind, and counts what came of it."""

import argparse
import collections
import csv
import faulthandler
import io
import resource
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from experiments.faults.damaged_cases import Cases, composing, folder_of_a_case
from experiments.faults.kinds import KINDS
from experiments.faults.watch import ENDS, Outcome, peak_memory
from nas.reading import one_line
from nas.tracking import write_atomically

MEMORY = 8 * 2**30
"""Bytes of addresses that the process may have, so that a reader that wants all memory fails instead of the machine."""
COLUMNS = ("kind", "cases", *ENDS, "slowest (s)")


@dataclass
class Tally:
    """What came of the cases of a kind."""

    ends: collections.Counter[str] = field(default_factory=collections.Counter)
    slowest: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Counts one case."""
        self.ends[outcome.end] += 1
        self.slowest = max(self.slowest, outcome.seconds)

    def row(self, kind: str) -> dict[str, str]:
        """The line of the table."""
        counts = {end: str(self.ends[end]) for end in ENDS}
        return {
            "kind": kind,
            "cases": str(self.ends.total()),
            **counts,
            "slowest (s)": f"{self.slowest:.2f}",
        }


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its status is 1 where a case crashed, hung or trespassed."""
    arguments = _parser().parse_args(argv)
    _bound_memory()
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    tallies = {name: Tally() for name in KINDS}
    with composing():
        others = [original for kind in KINDS.values() for original in kind.originals()]
        for name, cases in _shared_out(arguments.cases).items():
            found = Cases(name, KINDS[name], others, arguments.seed)
            for number in range(cases):
                outcome = _outcome(found, number, arguments.limit)
                tallies[name].add(outcome)
                if outcome.end not in ("accepted", "refused"):
                    print(f"{name}, case {number} {outcome.end}: {one_line(outcome.words)}", flush=True)
    rows = [tally.row(name) for name, tally in tallies.items()]
    rows.append(_total(tallies).row("all"))
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_atomically(arguments.out / "fuzz.md", _markdown(rows))
    write_atomically(arguments.out / "fuzz.csv", _csv(rows))
    sys.stdout.write(_markdown(rows))
    print(f"{time.perf_counter() - start:.0f} s, at most {peak_memory():,.0f} MiB of memory")
    bad = {"crashed", "hung", "trespassed"} & {end for tally in tallies.values() for end in tally.ends}
    return 1 if bad else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments.faults.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="in all, shared out among the kinds (default: 10000)")
    parser.add_argument("--seed", type=int, default=0, help="other files for another seed (default: 0)")
    parser.add_argument("--limit", type=float, default=10.0, help="seconds a case (default: 10)")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where fuzz.md and fuzz.csv go")
    return parser


def _shared_out(cases: int) -> dict[str, int]:
    """How many cases each kind has; at least as many in all as were asked for."""
    shares = sum(kind.share for kind in KINDS.values())
    return {name: -int(-cases * kind.share // shares) for name, kind in KINDS.items()}


def _outcome(cases: Cases, number: int, limit: float) -> Outcome:
    faulthandler.dump_traceback_later(10 * limit, exit=True)  # for a hang in C, which no signal ends
    try:
        with folder_of_a_case() as folder:
            return cases.run(number, folder, limit)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _bound_memory() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY if most == resource.RLIM_INFINITY else min(MEMORY, most), most))


def _total(tallies: dict[str, Tally]) -> Tally:
    ends = sum((tally.ends for tally in tallies.values()), collections.Counter[str]())
    return Tally(ends, max(tally.slowest for tally in tallies.values()))


def _markdown(rows: Sequence[dict[str, str]]) -> str:
    head = f"| {' | '.join(COLUMNS)} |\n|---{'|--:' * (len(COLUMNS) - 1)}|\n"
    return head + "".join(f"| {' | '.join(row[column] for column in COLUMNS)} |\n" for row in rows)


def _csv(rows: Sequence[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


if __name__ == "__main__":
    sys.exit(main())
