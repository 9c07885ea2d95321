"""Bilevel optimizers that take the weights for constants."""

from collections.abc import Sequence

from torch import Tensor

from nas.architecture import Mixture
from nas.optimization.objective import Batch
from nas.optimization.through_mixture import ThroughMixture


class FirstOrder(ThroughMixture):
    """dL_valid(w, m)/dm at the present w: DARTS with xi = 0 (Liu et al., 2019, section 2.3)."""

    def mixture_gradient(
        self, mixture: Mixture, train_batch: Batch, valid_batch: Batch
    ) -> tuple[Tensor, Sequence[Tensor]]:
        return self.direct_gradient(mixture, valid_batch)


class SingleLevel(ThroughMixture):
    """dL_train(w, m)/dm: alphas and weights learn from the same batches; the validation half is only measured."""

    def mixture_gradient(
        self, mixture: Mixture, train_batch: Batch, valid_batch: Batch
    ) -> tuple[Tensor, Sequence[Tensor]]:
        return self.direct_gradient(mixture, train_batch)
