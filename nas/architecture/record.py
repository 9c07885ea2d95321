"""What one epoch of a search says of itself."""

from dataclasses import asdict, dataclass
from typing import Any

from nas.architecture.genotype import Genotype


@dataclass(frozen=True)
class EpochRecord:
    """One line of `search.jsonl`.

    Losses are means over images in nats, accuracies are fractions in [0, 1], `seconds` is the epoch's wall time.
    `alphas` maps each choice to its alphas (empty for a method that has none); `genotype` is what the search would
    return if it ended here.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    valid_loss: float
    valid_accuracy: float
    alphas: dict[str, list[float]]
    genotype: Genotype
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data with the fields in their order."""
        return {**asdict(self), "genotype": self.genotype.to_dict()}
