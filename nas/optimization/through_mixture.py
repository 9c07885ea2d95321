"""Bilevel optimizers whose gradient goes through the mixture."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from nas.architecture import Mixture
from nas.optimization.bilevel import BilevelOptimizer
from nas.optimization.objective import Batch


class ThroughMixture(BilevelOptimizer):
    """dL/dalpha = dL/dm dm/dalpha: subclasses differ in dL/dm, and the relaxation's own graph leads on to alphas.

    A random relaxation is thus drawn once a step, however often the loss is evaluated. With several ranks one
    all-reduce makes L and dL/dm the means of theirs.
    """

    @abstractmethod
    def mixture_gradient(
        self, mixture: Mixture, train_batch: Batch, valid_batch: Batch
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """L and dL/dm for each table of `mixture`, whose tables are leaves; of this rank's part of the loss."""

    def set_alpha_gradients(self, train_batch: Batch, valid_batch: Batch) -> None:
        mixture = self.arch.mixture(self.relaxation.sample)
        leaves = mixture.as_leaves()
        part, of_part = self.mixture_gradient(leaves, train_batch, valid_batch)
        loss, *gradient = self.objective.ranks.mean([part, *of_part])
        if self.budget is not None:
            gradient = self.budget.gradient(leaves, loss, gradient)
        torch.autograd.backward(list(mixture.tables.values()), gradient)

    def direct_gradient(self, mixture: Mixture, batch: Batch) -> tuple[Tensor, Sequence[Tensor]]:
        """L and dL/dm at the present weights, which are constants here."""
        loss, _ = self.objective(batch, mixture, self.objective.constants())
        gradient = torch.autograd.grad(loss, list(mixture.tables.values()), materialize_grads=True)
        return loss.detach(), gradient
