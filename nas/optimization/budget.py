"""What a budget does to a search."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nas.architecture import Genotype, Mixture, selection
from nas.costs import CostModel
from nas.space import SearchSpace


class Budget(ABC):
    """A cost that counts beside the loss: alphas move along the gradient of s(L, C).

    L is the loss of an architecture step, C the expected cost of its mixture m, to which a budget may add a `gap`; s is
    the `shaped` loss. In these two alone budgets differ. The gradient follows from dL/dm, however that was found, by
    the chain rule: ds/dm = (ds/dL) dL/dm + (ds/dC) dC/dm. No genotype is meant to cost more than `limit`, where there
    is one. With `hard` none that is derived does: the genotype is the likeliest one within the limit, by the logarithms
    of its mixture weights.

    Raises:
        ValueError: a limit below the smallest cost in the space, or none where one is needed.
    """

    def __init__(self, cost: CostModel, limit: float | None = None, *, hard: bool = False) -> None:
        if limit is not None and limit < (smallest := cost.smallest()[0]):
            share = f", or a share of the largest as budget.{cost.name}={limit:g}x" if 0 < limit < 1 <= smallest else ""
            raise ValueError(
                f"the budget of {cost.in_words(limit)} cannot be met: the smallest possible cost in this space is "
                f"{cost.in_words(smallest, up=True)}; give at least that{share}"
            )
        if hard and limit is None:
            raise ValueError(f"budget.hard=true needs a limit, such as budget.{cost.name}=0.25x, not 'any'")
        self.cost = cost
        self.limit = limit
        self.hard = hard

    @abstractmethod
    def shaped(self, loss: Tensor, cost: Tensor) -> Tensor:
        """s(L, C), of two 0-dim float64 tensors; differentiable in both."""

    def gap(self, mixture: Mixture) -> Tensor:
        """What C is above the expected cost of a mixture: a 0-dim number without a gradient, here 0."""
        return torch.zeros((), dtype=torch.float64)

    def learn(self, cost: Tensor) -> None:
        """Hears C, detached, after each architecture step."""
        return None

    def state_dict(self) -> dict[str, Tensor]:
        """What the budget has learnt, by name (may be empty)."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from `state_dict`; there is nothing to take where nothing is learnt."""
        assert state.keys() == self.state_dict().keys(), f"{type(self).__name__} has other state than {list(state)}"

    def gradient(self, mixture: Mixture, loss: Tensor, gradient: Sequence[Tensor]) -> list[Tensor]:
        """ds/dm for each table of `mixture`, whose tables are leaves, from L and dL/dm; then the budget learns."""
        loss = loss.detach().double().requires_grad_()
        cost = self.cost.expected(mixture) + self.gap(mixture)
        slope, *direct = torch.autograd.grad(
            self.shaped(loss, cost), [loss, *mixture.tables.values()], materialize_grads=True
        )
        self.learn(cost.detach())
        return [
            (slope * of_loss + of_cost).to(of_loss.dtype) for of_loss, of_cost in zip(gradient, direct, strict=True)
        ]

    def derive(self, space: SearchSpace, mixture: Mixture) -> Genotype:
        """The genotype of a mixture: that of the space, or with `hard` the likeliest one within the limit."""
        if not self.hard:
            return space.derive(mixture)
        assert self.limit is not None
        scores = {name: weights.detach().double().log() for name, weights in mixture.items()}
        decisions = self.cost.best_within(self.limit, scores)
        return space.derive(selection(mixture.layout, {name: (chosen,) for name, chosen in decisions.items()}))

    def spent(self, space: SearchSpace, genotype: Genotype) -> float:
        """The cost of a genotype."""
        return float(self.cost.expected(space.selection(genotype)))

    def allows(self, space: SearchSpace, genotype: Genotype) -> bool:
        """Whether a genotype keeps the limit; any does where there is none."""
        return self.limit is None or self.spent(space, genotype) <= self.limit

    def standing(self, space: SearchSpace, genotype: Genotype, mixture: Mixture | None = None) -> dict[str, float]:
        """Numbers to follow: the cost of a genotype, the expected one of a mixture, and what the budget has learnt."""
        numbers = {self.cost.name: self.spent(space, genotype)}
        if mixture is not None:
            numbers[f"expected_{self.cost.name}"] = float(self.cost.expected(mixture))
            numbers |= {name: float(value) for name, value in self.state_dict().items()}
        return numbers
