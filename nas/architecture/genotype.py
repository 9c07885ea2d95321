"""A discrete architecture as plain data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas.reading import one_line, parse_json, shown

FORMAT = "nas-genotype"
VERSION = 1


@dataclass(frozen=True)
class Genotype:
    """The result of a search: the space's name, the settings that rebuild it, and one decision per place.

    Settings and decisions are plain JSON data, so the same file serves every space. What a decision looks like is the
    space's matter: an operator name, a width, or the list of (operator, input) pairs that a cell's node sums.
    """

    space: str
    settings: Mapping[str, Any]
    decisions: Mapping[str, Any]

    def __post_init__(self) -> None:
        for field in ("settings", "decisions"):
            object.__setattr__(self, field, _plain(getattr(self, field), field))

    def to_json(self) -> str:
        """The JSON text that `from_json` reads; one decision a line."""
        head = {"format": FORMAT, "version": VERSION, "space": self.space, "settings": self.settings}
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
        decisions = [f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in self.decisions.items()]
        return "\n".join(["{", *lines, '  "decisions": {', ",\n".join(decisions), "  }", "}"]) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Genotype":
        """Reads what `to_json` wrote.

        Raises:
            ValueError: text that is not JSON, not a genotype, of a later version, or with fields missing or unknown.
        """
        try:
            data = parse_json(text)
        except ValueError as error:
            raise ValueError(f"this is not a genotype: it is not JSON ({error})") from None
        return cls.from_dict(data)

    @classmethod
    def from_dict(cls, data: Any) -> "Genotype":
        """Reads the data of a JSON genotype; errors as in `from_json`."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ValueError(f'this is not a genotype: it has no "format": {FORMAT!r}')
        if type(data.get("version")) is not int or data["version"] != VERSION:
            raise ValueError(f"this genotype has version {shown(data.get('version'))}; this program reads {VERSION}")
        fields = {key: value for key, value in data.items() if key not in ("format", "version")}
        wanted = {"space": str, "settings": dict, "decisions": dict}
        if fields.keys() != wanted.keys():
            raise ValueError(
                f"a genotype has the fields {', '.join(wanted)}; this one has {one_line(', '.join(map(str, fields)))}"
            )
        for key, kind in wanted.items():
            if not isinstance(fields[key], kind):
                raise ValueError(f"{key!r} of a genotype is a {kind.__name__}; this one is {shown(fields[key])}")
        return cls(**fields)

    def to_dict(self) -> dict[str, Any]:
        """The data that `from_dict` reads."""
        return json.loads(self.to_json())


def _plain(value: Any, field: str) -> dict[str, Any]:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"the {field} of a genotype are plain JSON data; {shown(value)} is not: {error}") from None
