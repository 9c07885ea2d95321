"""What a cost model of a search space answers."""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from nas.architecture import Candidate


class CostModel(Protocol):
    """The cost of every genotype of a space in one unit; `name` is what is counted, such as `bops`."""

    name: str
    unit: str

    def expected(self, mixture: Mapping[str, Tensor]) -> Tensor:
        """The expected cost when each choice is drawn by its weights; 0-dim float64, differentiable."""

    def exact(self, decisions: Mapping[str, Candidate]) -> float:
        """The cost of a genotype."""

    def smallest(self) -> tuple[float, dict[str, Candidate]]:
        """The smallest cost, and the decisions that have it."""

    def largest(self) -> tuple[float, dict[str, Candidate]]:
        """The largest cost, and the decisions that have it."""

    def best_within(self, limit: float, scores: Mapping[str, Tensor]) -> dict[str, Candidate]:
        """The decisions of the largest sum of scores[choice][candidate] whose cost is at most `limit`."""
