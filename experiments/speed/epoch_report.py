"""Where the time of epochs went, as a page and as data."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from experiments.speed.epoch import COLUMNS, ONCE, Epochs
from experiments.speed.report import facts, number, table
from nas.tracking.files import json_data


@dataclass(frozen=True)
class EpochResults:
    """Where the time of epochs went, and on what machine."""

    machine: dict[str, Any]
    versions: dict[str, str]
    options: dict[str, Any]
    searches: Sequence[Epochs]

    def data(self) -> dict[str, Any]:
        """Everything, as plain values."""
        data: dict[str, Any] = json_data(asdict(self))
        for search, measured in zip(data["searches"], self.searches, strict=True):
            search |= {"typical": measured.typical, "outside": measured.outside}
        return data

    def page(self) -> str:
        """A line a search, as Markdown."""
        head = ["search", "batch", "steps", *(f"{part} ms" for part in COLUMNS), "once an epoch ms", "outside steps %"]
        blocks = [
            facts(machine=self.machine, versions=self.versions, options=self.options),
            "Milliseconds of an epoch, the median over all epochs but the first:",
            table(head, map(_epoch_cells, self.searches), words=1),
        ]
        return "\n\n".join(blocks) + "\n"


def _epoch_cells(search: Epochs) -> list[str]:
    typical, once = search.typical, sum(search.typical[part] for part in ONCE)
    milliseconds = [number(typical[part], 1e-3) for part in COLUMNS]
    share = f"{100 * search.outside:.2f} (of {search.whole} steps)"
    return [search.search, str(search.batch), str(search.steps), *milliseconds, number(once, 1e-3), share]
