"""The table of the networks that searches trained one by one."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nas.tracking.candidates import Candidate, read_candidates
from nas.tracking.files import write_atomically
from nas.tracking.formats import COSTS, markdown_table, percent
from nas.tracking.runs import Runs, group
from nas.tracking.summary import Summary
from nas.tracking.table import Spread, further_setting, spread

COLUMNS = ("space", "method", "setting", "name", "seeds", "valid_accuracy", "valid_accuracy_std", *COSTS)


@dataclass(frozen=True)
class CandidateRow:
    """One genotype, trained by runs that differ in the seed alone: mean validation accuracy, a fraction, and costs."""

    space: str
    method: str
    setting: tuple[str, ...]
    name: str
    seeds: tuple[int, ...]
    valid_accuracy: Spread
    costs: Mapping[str, float]


def tabulate_candidates(runs: Runs) -> tuple[CandidateRow, ...]:
    """The candidates of all finished runs; those of one name and one genotype are averaged over the seeds.

    Raises:
        ValueError: a run whose candidates cannot be read.
    """
    groups: dict[tuple[object, ...], list[tuple[Summary, Candidate]]] = {}
    for summary, candidate in _found(runs):
        key = (*group(summary), candidate.record.name, candidate.record.genotype.to_json())
        groups.setdefault(key, []).append((summary, candidate))
    return tuple(_row(members) for members in groups.values())


def candidates_to_markdown(rows: tuple[CandidateRow, ...]) -> str:
    """The table for people: accuracies in percent; empty where there are no candidates."""
    cells = [
        {
            "space": row.space,
            "method": row.method,
            "setting": " ".join(further_setting(row.setting, row.space, row.method)),
            "candidate": row.name,
            "seeds": ", ".join(map(str, row.seeds)),
            "valid accuracy (%)": percent(row.valid_accuracy),
            **{title: f"{row.costs[cost]:,.0f}" if cost in row.costs else "" for cost, title in COSTS.items()},
        }
        for row in rows
    ]
    return "\n".join(markdown_table(cells, numbers={"seeds", "valid accuracy (%)", *COSTS.values()})) + "\n"


def candidates_to_csv(rows: tuple[CandidateRow, ...]) -> str:
    """The table for programs: one line a candidate, accuracies as fractions."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {
                "space": row.space,
                "method": row.method,
                "setting": " ".join(row.setting),
                "name": row.name,
                "seeds": " ".join(map(str, row.seeds)),
                "valid_accuracy": row.valid_accuracy.mean,
                "valid_accuracy_std": row.valid_accuracy.std,
                **{cost: row.costs[cost] for cost in COSTS if cost in row.costs},
            }
        )
    return text.getvalue()


def write_candidates(folder: Path | str, rows: tuple[CandidateRow, ...]) -> None:
    """Writes `candidates.md` and `candidates.csv` into an existing folder, each atomically."""
    write_atomically(Path(folder) / "candidates.md", candidates_to_markdown(rows))
    write_atomically(Path(folder) / "candidates.csv", candidates_to_csv(rows))


def _found(runs: Runs) -> Iterator[tuple[Summary, Candidate]]:
    ordered = sorted(runs.finished.items(), key=lambda item: (group(item[1]), item[1].seed))
    return ((summary, candidate) for folder, summary in ordered for candidate in read_candidates(folder))


def _row(members: list[tuple[Summary, Candidate]]) -> CandidateRow:
    summary, first = members[0]
    return CandidateRow(
        space=summary.space,
        method=summary.method,
        setting=summary.setting,
        name=first.record.name,
        seeds=tuple(summary.seed for summary, _ in members),
        valid_accuracy=spread([candidate.record.valid_accuracy for _, candidate in members]),
        costs=first.costs,
    )
