"""What every bilevel optimizer does."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from nas.architecture import ArchParameters, Mixture
from nas.optimization.budget import Budget
from nas.optimization.objective import Batch, Objective
from nas.relaxation import Relaxation


class BilevelOptimizer(ABC):
    """Alternates steps of  min_alpha L_valid(w*(alpha), alpha)  s.t.  w*(alpha) = argmin_w L_train(w, alpha).

    Subclasses differ in one thing, the gradient dL/dm of the architecture step with respect to the mixture; from there
    the relaxation's own graph leads to alphas. A random relaxation is thus drawn once a step, however often the loss
    is evaluated. An architecture step leaves every weight, buffer and weight gradient as it was, bit for bit. A
    `budget` lets alphas follow the cost of the mixture beside the loss.

    Several ranks share each batch. One all-reduce makes L and dL/dm the means of theirs; their random states are equal,
    so all draw the same mixture, and alphas stay equal to the last bit.
    """

    def __init__(
        self,
        objective: Objective,
        arch: ArchParameters,
        relaxation: Relaxation,
        weight_optimizer: Optimizer,
        arch_optimizer: Optimizer,
        *,
        clip_norm: float | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.objective = objective
        self.arch = arch
        self.relaxation = relaxation
        self.weight_optimizer = weight_optimizer
        self.arch_optimizer = arch_optimizer
        self.clip_norm = clip_norm
        self.budget = budget

    @abstractmethod
    def mixture_gradient(
        self, mixture: Mixture, train_batch: Batch, valid_batch: Batch
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """L and dL/dm for each table of `mixture`, whose tables are leaves; of this rank's part of the loss."""

    def mean_mixture(self) -> Mixture:
        """The mixture to evaluate and to derive with."""
        with torch.no_grad():
            return self.arch.mixture(self.relaxation.mean)

    def arch_step(self, train_batch: Batch, valid_batch: Batch) -> None:
        """One step of the alphas."""
        mixture = self.arch.mixture(self.relaxation.sample)
        leaves = mixture.as_leaves()
        part, of_part = self.mixture_gradient(leaves, train_batch, valid_batch)
        loss, *gradient = self.objective.ranks.mean([part, *of_part])
        if self.budget is not None:
            gradient = self.budget.gradient(leaves, loss, gradient)
        self.arch_optimizer.zero_grad()
        torch.autograd.backward(list(mixture.tables.values()), gradient)
        self.arch_optimizer.step()

    def weight_step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """One step of the weights; (loss, logits) before it, detached."""
        with torch.no_grad():
            mixture = self.arch.mixture(self.relaxation.sample)
        loss, logits = self.objective(batch, mixture)
        self.weight_optimizer.zero_grad()
        loss.backward()
        if self.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.objective.supernet.parameters(), self.clip_norm)
        self.weight_optimizer.step()
        return loss.detach(), logits.detach()

    def direct_gradient(self, mixture: Mixture, batch: Batch) -> tuple[Tensor, Sequence[Tensor]]:
        """L and dL/dm at the present weights, which are constants here."""
        loss, _ = self.objective(batch, mixture, self.objective.constants())
        gradient = torch.autograd.grad(loss, list(mixture.tables.values()), materialize_grads=True)
        return loss.detach(), gradient
