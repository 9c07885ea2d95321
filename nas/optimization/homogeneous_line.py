"""A budget as the line of homogeneous networks."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.costs import CostModel
from nas.optimization.budget import Budget


class HomogeneousLine(Budget):
    """s = 0.1 + LeakyReLU_0.1(r), r = (L - E(C)) / E(C): beat the homogeneous networks of equal cost.

    E is the piecewise linear line through (cost, loss) `points` of homogeneous networks, such as all layers at 2, 3, 4
    and 8 bits (Zur et al., 2019, "method IV" of the authors' code). Between the points it is not smoothed: where the
    line rises, cheaper is worth less. Outside of them it stays level, where the line through two noisy points could
    fall below 0. Points of equal cost count as their mean.

    Raises:
        ValueError: points that are not finite, without two different costs, or with a loss that is not positive; or
            what `Budget` refuses.
    """

    def __init__(
        self, cost: CostModel, limit: float | None = None, *, hard: bool = False, points: Sequence[tuple[float, float]]
    ) -> None:
        super().__init__(cost, limit, hard=hard)
        if limit is not None and not hard:
            raise ValueError(
                f"budget=homogeneous_line limits no cost unless budget.hard=true: add that, or give "
                f"budget.{cost.name}=any"
            )
        for at, loss in points:
            if not (math.isfinite(at) and 0 < loss < math.inf):
                raise ValueError(f"({at}, {loss}) is no point of a homogeneous line: give a cost and a positive loss")
        losses: dict[float, list[float]] = {}
        for at, loss in sorted(points):
            losses.setdefault(at, []).append(loss)
        if len(losses) < 2:
            raise ValueError(f"a homogeneous line needs points of two different costs; it was given {len(losses)}")
        self.costs = torch.tensor(list(losses), dtype=torch.float64)
        self.losses = torch.tensor([sum(one) / len(one) for one in losses.values()], dtype=torch.float64)

    def line(self, cost: Tensor) -> Tensor:
        """E(C) of a 0-dim cost; at a point its slope is that of the segment to the right."""
        xs, ys = self.costs.to(cost.device), self.losses.to(cost.device)
        cost = cost.clamp(xs[0], xs[-1])
        right = torch.searchsorted(xs, cost.detach(), right=True).clamp(1, len(xs) - 1)
        left = right - 1
        return torch.lerp(ys[left], ys[right], (cost - xs[left]) / (xs[right] - xs[left]))

    def shaped(self, loss: Tensor, cost: Tensor) -> Tensor:
        expected = self.line(cost)
        return 0.1 + F.leaky_relu((loss - expected) / expected, 0.1)
