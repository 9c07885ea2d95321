"""How much a person allows a genotype to cost."""

import math
import re
from dataclasses import dataclass
from typing import Any

UNLIMITED = "any"


@dataclass(frozen=True)
class Amount:
    """A number, a share of the largest genotype, or any amount (`number` is None)."""

    number: float | None
    relative: bool = False

    def limit(self, largest: float) -> float | None:
        """The largest cost allowed, where the largest genotype costs `largest`; None for any."""
        if self.number is None or not self.relative:
            return self.number
        return self.number * largest


def amount(key: str, value: Any) -> Amount:
    """Reads `1.2e7`, `0.25x` or `any`.

    Raises:
        ValueError: anything else, what is not positive, or a share above 1x, with the key.
    """
    if value == UNLIMITED:
        return Amount(None)
    found = re.fullmatch(r"([^x]+)(x?)", str(value))
    try:
        read = Amount(float(found[1]), relative=bool(found[2])) if found and not isinstance(value, bool) else None
    except ValueError:
        read = None
    if read is None or read.number is None or not 0 < read.number < math.inf:
        number = "of seconds, such as 0.02" if key.endswith("latency") else "such as 1.2e7"
        raise ValueError(
            f"{key} is {value!r}; give a positive number {number}, a share of the largest genotype such as 0.25x, "
            f"or {UNLIMITED}, which limits nothing"
        )
    if read.relative and read.number > 1:
        raise ValueError(f"{key} is {value!r}, more than the largest genotype costs: give up to 1x, or {UNLIMITED}")
    return read
