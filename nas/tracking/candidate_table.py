"""The table of the networks that searches trained one by one."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.tracking.candidates import Candidate, read_candidates
from nas.tracking.files import write_atomically
from nas.tracking.formats import COSTS, markdown_table, percent
from nas.tracking.runs import Runs, group, grouped, shared_setting
from nas.tracking.summary import Summary
from nas.tracking.table import Spread, further_setting, spread

COLUMNS = ("data", "space", "method", "setting", "name", "seeds", "valid_accuracy", "valid_accuracy_std", *COSTS)


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
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def data(self) -> str:
        """The name of the data set; "" in a run of a former version."""
        return str(self.config.get("data", ""))


def tabulate_candidates(runs: Runs) -> tuple[CandidateRow, ...]:
    """The candidates of all finished runs; those of one name and one genotype are averaged over the seeds.

    Raises:
        ValueError: a run whose candidates cannot be read.
    """
    groups: dict[tuple[object, ...], list[tuple[Summary, Candidate]]] = {}
    settings = {group(members[0]): shared_setting(members) for members in grouped(runs.finished.values())}
    for summary, candidate in _found(runs):
        key = (*group(summary), candidate.record.name, candidate.record.genotype.to_json())
        groups.setdefault(key, []).append((summary, candidate))
    return tuple(_row(members, settings[group(members[0][0])]) for members in groups.values())


def candidates_to_markdown(rows: tuple[CandidateRow, ...]) -> str:
    """The table for people: accuracies in percent; empty where there are no candidates."""
    cells = [
        {
            "data": row.data,
            "space": row.space,
            "method": row.method,
            "setting": " ".join(further_setting(row.setting, row.space, row.method, row.data)),
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
                "data": row.data,
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
    folders = {id(summary): folder for folder, summary in runs.finished.items()}
    ordered = (summary for members in grouped(runs.finished.values()) for summary in members)
    return ((summary, candidate) for summary in ordered for candidate in read_candidates(folders[id(summary)]))


def _row(members: list[tuple[Summary, Candidate]], setting: tuple[str, ...]) -> CandidateRow:
    summary, first = members[0]
    return CandidateRow(
        space=summary.space,
        method=summary.method,
        setting=setting,
        name=first.record.name,
        seeds=tuple(summary.seed for summary, _ in members),
        valid_accuracy=spread([candidate.record.valid_accuracy for _, candidate in members]),
        costs=first.costs,
        config=summary.config,
    )
