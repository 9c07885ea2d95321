"""The discrete networks that a search trained, as lines of `candidates.jsonl`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.architecture import CandidateRecord, Genotype
from nas.reading import shown
from nas.tracking.files import append_line, read_lines

NAME = "candidates.jsonl"
METRICS = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy")


@dataclass(frozen=True)
class Candidate:
    """A trained network and what it costs, by the names of a summary: `params`, `macs`, `bops`, `memory_bytes`."""

    record: CandidateRecord
    costs: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The data that `from_dict` reads."""
        return {**self.record.to_dict(), "costs": dict(self.costs)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Candidate":
        """Reads what `to_dict` gave; a ValueError for other data."""
        wanted = {"name", "genotype", "costs", "epochs", *METRICS}
        if missing := sorted(wanted - data.keys()):
            raise ValueError(f"a candidate has the fields {', '.join(sorted(wanted))}; this one lacks {missing[0]}")
        if not isinstance(data["costs"], dict):
            raise ValueError(f"the costs of a candidate are {shown(data['costs'])}; they are numbers by name")
        for field, value in {**{name: data[name] for name in METRICS}, **data["costs"]}.items():
            if isinstance(value, bool) or not isinstance(value, int | float | None):
                raise ValueError(f"{shown(field)} of a candidate is {shown(value)}, which is no number")
        if not isinstance(data["name"], str) or type(data["epochs"]) is not int:
            raise ValueError(f"a candidate has a name and epochs; here are {shown([data['name'], data['epochs']])}")
        metrics = [_number(data[name]) for name in METRICS]
        costs = {name: _number(value) for name, value in data["costs"].items()}
        genotype = Genotype.from_dict(data["genotype"])
        return cls(CandidateRecord(data["name"], genotype, data["epochs"], *metrics), costs)


def append_candidate(folder: Path | str, candidate: Candidate) -> None:
    """Adds a line to the `candidates.jsonl` of a run directory."""
    append_line(Path(folder) / NAME, candidate.to_dict())


def read_candidates(folder: Path | str) -> list[Candidate]:
    """The candidates of a run, in the order of their training; none where the run has no such file.

    Raises:
        ValueError: a line that is no candidate, with its number.
    """
    path = Path(folder) / NAME
    if not os.path.lexists(path):
        return []
    found = []
    for number, data in enumerate(read_lines(path), start=1):
        try:
            found.append(Candidate.from_dict(data))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
    return found


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
