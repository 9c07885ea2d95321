"""The relaxation of DARTS."""

from torch import Tensor

from nas.relaxation.relaxation import Relaxation


class Softmax(Relaxation):
    """w_o = exp(alpha_o) / sum_p exp(alpha_p) in each row (DARTS, Liu et al., 2019)."""

    def sample(self, alphas: Tensor) -> Tensor:
        return alphas.softmax(dim=-1)

    def mean(self, alphas: Tensor) -> Tensor:
        return alphas.softmax(dim=-1)

    def anneal(self, progress: float) -> None:
        """Softmax has no temperature."""
