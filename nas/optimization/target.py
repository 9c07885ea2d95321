"""A budget as a target."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from nas.architecture import Mixture, likeliest
from nas.costs import CostModel
from nas.optimization.budget import Budget

HELD = ("likeliest", "expected")


class Target(Budget):
    """Minimises L subject to g = C / limit - 1 <= 0 by the method of multipliers.

    s = L + (max(0, l + damping * g)^2 - l^2) / (2 * damping), the augmented Lagrangian of an inequality (Rockafellar,
    1973); the multiplier l, in nats, starts at 0 and climbs after each architecture step: l <- max(0, l + rate * g).
    Steps in alphas and in l alternate, as in the differential multiplier method, whose oscillation the damping takes
    away (Platt and Barr, 1988). g has no unit, so that rate and damping fit every kind of cost. Within the limit, and
    once l is 0, s is L.

    What is `held` at the limit is the cost of the `likeliest` genotype of a mixture, or the `expected` one. They are
    far apart in a soft mixture: a search that holds the expected cost derives genotypes far below the limit. The cost
    of the likeliest genotype is a step function of alphas; it decides l and the pull, and the gradient of the expected
    cost their direction, as where a constraint and its differentiable proxy play a game (Cotter et al., 2019).

    Raises:
        ValueError: no limit, a rate or a damping that is not positive and finite, something else to hold, or what
            `Budget` refuses.
    """

    def __init__(
        self,
        cost: CostModel,
        limit: float | None,
        *,
        hard: bool = False,
        held: str = "likeliest",
        rate: float = 0.2,
        damping: float = 3.0,
    ) -> None:
        if limit is None:
            raise ValueError(f"budget=target needs an amount, such as budget.{cost.name}=0.25x, not 'any'")
        for name, value in (("rate", rate), ("damping", damping)):
            if not 0 < value < math.inf:
                raise ValueError(f"budget.loss.{name} is {value}; give a positive number")
        if held not in HELD:
            raise ValueError(f"budget.loss.held is {held!r}; give {' or '.join(HELD)}")
        super().__init__(cost, limit, hard=hard)
        self.target = limit
        self.held = held
        self.rate = rate
        self.damping = damping
        self.multiplier = torch.zeros((), dtype=torch.float64)

    @torch.no_grad()
    def gap(self, mixture: Mixture) -> Tensor:
        if self.held == "expected":
            return super().gap(mixture)
        return self.cost.expected(likeliest(mixture)) - self.cost.expected(mixture)

    def shaped(self, loss: Tensor, cost: Tensor) -> Tensor:
        pull = (self.multiplier + self.damping * (cost / self.target - 1)).clamp_min(0)
        return loss + (pull**2 - self.multiplier**2) / (2 * self.damping)

    def learn(self, cost: Tensor) -> None:
        self.multiplier = (self.multiplier + self.rate * (cost / self.target - 1)).clamp_min(0)

    def state_dict(self) -> dict[str, Tensor]:
        return {"multiplier": self.multiplier}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        super().load_state_dict(state)
        self.multiplier = state["multiplier"]
