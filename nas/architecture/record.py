"""What an epoch of a search, and a network trained in one, say of themselves."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from nas.architecture.genotype import Genotype


@dataclass(frozen=True)
class EpochRecord:
    """One line of `search.jsonl`.

    Losses are means over images in nats, accuracies are fractions in [0, 1], `seconds` is the epoch's wall time.
    `alphas` maps each choice to its alphas (empty for a method that has none); `genotype` is what the search would
    return if it ended here. `budget` is empty without one; else it has the cost of the genotype under the name of what
    is counted, such as `bops`, and of a method with alphas the `expected_bops` of its mean mixture and the multiplier.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    valid_loss: float
    valid_accuracy: float
    alphas: dict[str, list[float]]
    genotype: Genotype
    seconds: float
    budget: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data with the fields in their order; `budget` only where there is one."""
        data = {**asdict(self), "genotype": self.genotype.to_dict()}
        return data if self.budget else {key: value for key, value in data.items() if key != "budget"}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "EpochRecord":
        """What `to_dict` gave."""
        return cls(**{**data, "genotype": Genotype.from_dict(data["genotype"])})


@dataclass(frozen=True)
class CandidateRecord:
    """A discrete network that a search has trained, in the units of an `EpochRecord`; losses of its last epoch."""

    name: str
    genotype: Genotype
    epochs: int
    train_loss: float
    train_accuracy: float
    valid_loss: float
    valid_accuracy: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data with the fields in their order."""
        return {**asdict(self), "genotype": self.genotype.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "CandidateRecord":
        """What `to_dict` gave."""
        return cls(**{**data, "genotype": Genotype.from_dict(data["genotype"])})
