"""What every bilevel optimizer does."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.optim import Optimizer

from nas.architecture import ArchParameters, Mixture
from nas.optimization.budget import Budget
from nas.optimization.objective import Batch, Objective
from nas.relaxation import Relaxation


class BilevelOptimizer(ABC):
    """Alternates steps of  min_alpha L_valid(w*(alpha), alpha)  s.t.  w*(alpha) = argmin_w L_train(w, alpha).

    Subclasses differ in one thing, the gradient of the architecture step. That step leaves every weight, buffer and
    weight gradient as it was, bit for bit. A `budget` lets alphas follow the cost of the mixture beside the loss.

    Several ranks share each batch; their random states are equal, so all draw the same mixtures, and alphas stay equal
    to the last bit.
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
    def set_alpha_gradients(self, train_batch: Batch, valid_batch: Batch) -> None:
        """Adds dL_valid/dalpha, or an estimate of it, to the gradients of the alphas, which are empty."""

    def unrecorded(self) -> "BilevelOptimizer":
        """The one that computes every step anew."""
        return self

    def taken_up(self) -> None:
        """Hears that its optimizers go on from another state, which lies in tensors of its own."""
        return None

    def mean_mixture(self) -> Mixture:
        """The mixture to evaluate and to derive with."""
        with torch.no_grad():
            return self.arch.mixture(self.relaxation.mean)

    def arch_step(self, train_batch: Batch, valid_batch: Batch) -> None:
        """One step of the alphas."""
        self.arch_optimizer.zero_grad()
        self.set_alpha_gradients(train_batch, valid_batch)
        self.arch_optimizer.step()

    def weight_step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """One step of the weights; (loss, logits) before it, detached."""
        loss, logits = self.set_weight_gradients(batch)
        self.move_weights()
        return loss, logits

    def set_weight_gradients(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Makes dL_train/dw the gradients of the weights; (loss, logits), detached."""
        with torch.no_grad():
            mixture = self.arch.mixture(self.relaxation.sample)
        loss, logits = self.objective(batch, mixture)
        self.weight_optimizer.zero_grad()
        loss.backward()
        return loss.detach(), logits.detach()

    def move_weights(self) -> None:
        """Moves the weights along their gradients, which it clips."""
        if self.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.objective.supernet.parameters(), self.clip_norm)
        self.weight_optimizer.step()
