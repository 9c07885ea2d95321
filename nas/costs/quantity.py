"""Numbers that choices decide, such as the channels that a layer reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Quantity:
    """constant + the sum of one value a choice: `parts[choice][k]` where the choice takes its candidate k.

    The width of a layer is one part, a concatenation of three searched widths and 16 fixed channels three parts and a
    constant. Quantities are equal to plain numbers where they have no parts.
    """

    constant: float = 0.0
    parts: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __add__(self, other: "Quantity") -> "Quantity":
        """The sum; a choice that both depend on stays one choice."""
        shared = {name: _added(self.parts[name], other.parts[name]) for name in self.parts if name in other.parts}
        return Quantity(self.constant + other.constant, {**self.parts, **other.parts, **shared})

    def times(self, factor: float) -> "Quantity":
        """Every value multiplied by a number."""
        parts = {name: tuple(value * factor for value in values) for name, values in self.parts.items()}
        return Quantity(self.constant * factor, parts)

    def divided(self, divisor: int) -> "Quantity":
        """Every value divided by a number: whole numbers stay exact where it divides them."""
        parts = {name: tuple(value / divisor for value in values) for name, values in self.parts.items()}
        return Quantity(self.constant / divisor, parts)

    def at(self, indices: Mapping[str, int]) -> float:
        """The value where each choice takes the candidate of this index; other choices may be among them."""
        return self.constant + sum(values[indices[name]] for name, values in self.parts.items())

    def addends(self) -> list[tuple[str | None, tuple[float, ...]]]:
        """(choice, value of each candidate) so that the quantity is the sum of all; None for one that is constant.

        The constant goes into the first part, where there is one.
        """
        if not self.parts:
            return [(None, (self.constant,))]
        first, *others = self.parts.items()
        return [(first[0], tuple(value + self.constant for value in first[1])), *others]


def _added(values: tuple[float, ...], others: tuple[float, ...]) -> tuple[float, ...]:
    assert len(values) == len(others), "both are the values of the candidates of one choice"
    return tuple(value + other for value, other in zip(values, others, strict=True))
