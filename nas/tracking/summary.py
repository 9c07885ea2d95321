"""What a finished run says of itself: `summary.json`."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.architecture import Genotype
from nas.reading import parse_json, read_bytes, shown
from nas.tracking.files import json_data, write_atomically
from nas.tracking.machine import versions

NAME = "summary.json"
LARGEST = 4_000_000
"""Bytes: a genotype may have a fourth of it."""
FORMAT = {"format": "nas-summary", "version": 1, "status": "finished"}
METRICS = {
    "search": ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy"),
    "retrain": ("train_loss", "train_accuracy", "test_loss", "test_accuracy"),
}
KINDS = {
    "command": str,
    "space": str,
    "method": str,
    "setting": list,
    "seed": int,
    "genotype": dict,
    "params": int,
    "macs": int,
    "epochs": int,
    "device": str,
    "wall_seconds": int | float,
    "versions": dict,
}

_FIELDS = {*KINDS, *FORMAT, "config"}
COUNTS = ("seed", "params", "macs", "epochs", "wall_seconds")


@dataclass(frozen=True)
class Summary:
    """A finished run.

    `setting` is what was asked for on the command line apart from the seed; runs that differ in the seed alone have
    equal settings and are averaged. `config` are the values behind it, those of the defaults among them, by dotted keys
    and without what tells seeds or machines apart: where there are any, runs of equal ones are averaged, whatever was
    written down. `metrics` holds what its command must give (METRICS) and any further number, such
    as bops and memory_bytes of the network; losses are in nats, accuracies fractions in [0, 1]. `device` is in words.

    Raises:
        ValueError: an unknown command, a metric missing, or one called like a field.
    """

    command: str
    space: str
    method: str
    setting: tuple[str, ...]
    seed: int
    genotype: Genotype
    params: int
    macs: int
    metrics: Mapping[str, float]
    epochs: int
    device: str
    wall_seconds: float
    versions: Mapping[str, str] = field(default_factory=versions)
    config: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "setting", normalised(self.setting))
        if self.command not in METRICS:
            raise ValueError(f"a summary has no command {shown(self.command)}; it has {', '.join(METRICS)}")
        if missing := [name for name in METRICS[self.command] if name not in self.metrics]:
            raise ValueError(
                f"the summary of a {self.command} lacks {', '.join(missing)}; give NaN for what is unknown"
            )
        if clashing := [name for name in self.metrics if name in _FIELDS]:
            raise ValueError(f"a metric cannot be called {clashing[0]!r}, which is a field of a summary: rename it")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data: the fields, with each metric at the top level; null stands for NaN."""
        data = {name: getattr(self, name) for name in (*KINDS, *(["config"] if self.config else []))}
        return json_data({**FORMAT, **data, "genotype": self.genotype.to_dict(), **self.metrics})

    @classmethod
    def from_dict(cls, data: Any) -> "Summary":
        """Reads what `to_dict` gave; a ValueError for other data, or with a field missing."""
        if not isinstance(data, dict) or data.get("format") != FORMAT["format"]:
            raise ValueError(f'it has no "format": "{FORMAT["format"]}"')
        for key, wanted in FORMAT.items():
            if data.get(key) != wanted:
                raise ValueError(f"its {key} is {shown(data.get(key))}; this program reads {wanted!r}")
        for name, kind in KINDS.items():
            if not isinstance(data.get(name), kind) or isinstance(data[name], bool):
                raise ValueError(f"its {name!r} is {shown(data.get(name))}, not {kind}")
        if negative := [name for name in COUNTS if data[name] < 0]:
            raise ValueError(f"its {negative[0]!r} is {data[negative[0]]}, which is below 0")
        if not all(isinstance(word, str) for word in data["setting"]):
            raise ValueError(f"its 'setting' is {shown(data['setting'])}, not a list of words")
        if not isinstance(data.get("config", {}), dict):
            raise ValueError(f"its 'config' is {shown(data['config'])}, not {dict}")
        metrics = {key: _number(key, value) for key, value in data.items() if key not in _FIELDS}
        known = {**{name: data[name] for name in KINDS}, "config": data.get("config", {})}
        return cls(**{**known, "genotype": Genotype.from_dict(data["genotype"])}, metrics=metrics)


def normalised(overrides: Iterable[str]) -> tuple[str, ...]:
    """Overrides of a command line without their leading `+` and without the seed, sorted: equal for all seeds."""
    bare = (override.lstrip("+") for override in overrides)
    return tuple(sorted(override for override in bare if not override.startswith("seed=")))


def write_summary(folder: Path | str, summary: Summary) -> None:
    """Writes `summary.json` atomically: where it lies, the run has finished."""
    write_atomically(Path(folder) / NAME, json.dumps(summary.to_dict(), indent=2) + "\n")


def read_summary(folder: Path | str) -> Summary:
    """Reads the `summary.json` of a run directory.

    Raises:
        ValueError: the run has not finished, or the file is damaged or of another program.
    """
    path = Path(folder) / NAME
    if not os.path.lexists(path):
        raise ValueError(f"the run {folder} has not finished: it has no {NAME}; wait for it, or start it again")
    try:
        return Summary.from_dict(parse_json(read_bytes(path, LARGEST)))
    except ValueError as error:
        raise ValueError(f"{path} is not the summary of a run: {error}; start the run again") from None


def _number(key: str, value: Any) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(
            f"it has an unknown field {shown(key)} with the value {shown(value)}; a metric is a number or null"
        )
    if key.endswith("accuracy") and not 0 <= value <= 1:
        raise ValueError(f"its {shown(key)} is {value}; an accuracy is a fraction from 0 to 1")
    return value
