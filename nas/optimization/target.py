"""A budget as a target."""

import math

import torch
from torch import Tensor

from nas.costs import CostModel
from nas.optimization.budget import Budget


class Target(Budget):
    """Minimises L subject to g = C / limit - 1 <= 0 by the method of multipliers.

    s = L + (max(0, l + damping * g)^2 - l^2) / (2 * damping), the augmented Lagrangian of an inequality (Rockafellar,
    1973); the multiplier l, in nats, starts at 0 and climbs after each architecture step: l <- max(0, l + rate * g).
    Steps in alphas and in l alternate, as in the differential multiplier method, whose oscillation the damping takes
    away (Platt and Barr, 1988). g has no unit, so that rate and damping fit every kind of cost. Within the limit, and
    once l is 0, s is L.

    Raises:
        ValueError: no limit, a rate or a damping that is not positive and finite, or what `Budget` refuses.
    """

    def __init__(
        self, cost: CostModel, limit: float | None, *, hard: bool = False, rate: float = 0.2, damping: float = 3.0
    ) -> None:
        if limit is None:
            raise ValueError(f"budget=target needs an amount, such as budget.{cost.name}=0.25x, not 'any'")
        for name, value in (("rate", rate), ("damping", damping)):
            if not 0 < value < math.inf:
                raise ValueError(f"budget.loss.{name} is {value}; give a positive number")
        super().__init__(cost, limit, hard=hard)
        self.target = limit
        self.rate = rate
        self.damping = damping
        self.multiplier = torch.zeros((), dtype=torch.float64)

    def shaped(self, loss: Tensor, cost: Tensor) -> Tensor:
        pull = (self.multiplier + self.damping * (cost / self.target - 1)).clamp_min(0)
        return loss + (pull**2 - self.multiplier**2) / (2 * self.damping)

    def learn(self, cost: Tensor) -> None:
        self.multiplier = (self.multiplier + self.rate * (cost / self.target - 1)).clamp_min(0)

    def state_dict(self) -> dict[str, Tensor]:
        return {"multiplier": self.multiplier}
