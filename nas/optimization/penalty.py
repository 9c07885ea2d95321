"""A budget as a penalty."""

import math

from torch import Tensor

from nas.costs import CostModel
from nas.optimization.budget import Budget


class Penalty(Budget):
    """s = L + weight * (C / C_0)^power, where C_0 is the limit, or the largest cost in the space if there is none.

    With power 2, lambda (BOPs / BOPs_baseline)^2 of Zur et al. (2019). The weight, in nats, is what a genotype of cost
    C_0 pays; a larger one makes the search end cheaper, at no cost that could be told before.

    Raises:
        ValueError: a weight or a power that is not positive and finite, or what `Budget` refuses.
    """

    def __init__(
        self,
        cost: CostModel,
        limit: float | None = None,
        *,
        hard: bool = False,
        weight: float = 1.0,
        power: float = 2.0,
    ) -> None:
        for name, value in (("weight", weight), ("power", power)):
            if not 0 < value < math.inf:
                raise ValueError(f"budget.loss.{name} is {value}; give a positive number")
        super().__init__(cost, limit, hard=hard)
        self.weight = weight
        self.power = power
        self.reference = cost.largest()[0] if limit is None else limit

    def shaped(self, loss: Tensor, cost: Tensor) -> Tensor:
        return loss + self.weight * (cost / self.reference) ** self.power
