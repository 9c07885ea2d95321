"""A table of measured latencies, as a file that people read and other machines can bring."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nas.costs.shapes import LayerShape, Seconds
from nas.costs.timing import Conditions
from nas.reading import parse_json, shown

FORMAT = "nas-latency"
VERSION = 1
KINDS = {"device": str, "torch_version": str, "threads": int, "batch_size": int, "seconds": dict}


@dataclass(frozen=True)
class LatencyTable:
    """Seconds of single layers for one batch, by `LayerShape.key`, all measured under the same conditions."""

    conditions: Conditions
    seconds: Mapping[str, float] = field(default_factory=dict)

    def seconds_of(self, shape: LayerShape) -> float:
        """The seconds of one layer; a ValueError that names a layer which the table lacks."""
        if shape.key not in self.seconds:
            raise ValueError(f"the latency table of {self.conditions} lacks {shape.key!r}: measure it there")
        return self.seconds[shape.key]

    def merged(self, other: "LatencyTable") -> "LatencyTable":
        """The layers of both, as `other` has those that are in both.

        Raises:
            ValueError: tables of different conditions.
        """
        if self.conditions != other.conditions:
            raise ValueError(
                f"latencies of {self.conditions} and of {other.conditions} do not compare: keep two tables"
            )
        return LatencyTable(self.conditions, {**self.seconds, **other.seconds})

    def to_json(self) -> str:
        """The JSON text that `from_json` reads; one layer a line."""
        head = {"format": FORMAT, "version": VERSION, **vars(self.conditions)}
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
        layers = [f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in sorted(self.seconds.items())]
        return "\n".join(["{", *lines, '  "seconds": {', ",\n".join(layers), "  }", "}"]) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "LatencyTable":
        """Reads what `to_json` wrote.

        Raises:
            ValueError: text that is not JSON, no latency table, of a later version, or with a field that does not fit.
        """
        try:
            data = parse_json(text)
        except ValueError as error:
            raise ValueError(f"this is not a latency table: it is not JSON ({error}); measure a new one") from None
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ValueError(f'this is not a latency table: it has no "format": {FORMAT!r}')
        if type(data.get("version")) is not int or data["version"] != VERSION:
            raise ValueError(
                f"this latency table has version {shown(data.get('version'))}; this program reads {VERSION}"
            )
        for key, kind in KINDS.items():
            if type(data.get(key)) is not kind:
                raise ValueError(
                    f"{key!r} of a latency table is of type {kind.__name__}; this one is {shown(data.get(key))}"
                )
        for key, value in data["seconds"].items():
            if not _is_duration(value):
                raise ValueError(f"the latency of {shown(key)} is {shown(value)}; it is a positive number of seconds")
        return cls(Conditions(**{key: data[key] for key in KINDS if key != "seconds"}), data["seconds"])


def latency_table(
    shapes: Iterable[LayerShape],
    here: Conditions,
    seconds: Seconds,
    known: LatencyTable | None = None,
    *,
    anywhere: bool = False,
) -> LatencyTable:
    """A table with all these layers: `known` and what it lacks, measured here by `seconds`, such as `timed`.

    With `anywhere` a table of other conditions is taken as it is: nothing is measured.

    Raises:
        ValueError: a known table of other conditions, or with `anywhere` one that lacks a layer.
    """
    table = known or LatencyTable(here)
    if table.conditions != here:
        if not anywhere:
            raise ValueError(
                f"the latency table is of {table.conditions}, but this is {here}: measure a table here, or take it as "
                "it is with anywhere=True"
            )
        for shape in shapes:
            table.seconds_of(shape)
        return table
    missing = [shape for shape in shapes if shape.key not in table.seconds]
    return table.merged(LatencyTable(here, {shape.key: seconds(shape) for shape in missing}))


def _is_duration(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value > 0
