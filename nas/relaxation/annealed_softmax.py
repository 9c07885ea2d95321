"""A softmax that grows sharp."""

from torch import Tensor

from nas.relaxation.relaxation import Relaxation


class AnnealedSoftmax(Relaxation):
    """w_o = exp(alpha_o / t) / sum_p exp(alpha_p / t) in each row, t = first (last / first)^progress.

    At a small temperature t a mixture is nearly one-hot: the supernet computes what the derived network will, and the
    genotype costs what the mixture was expected to. With t = 1 throughout it is `Softmax`. The temperatures are no
    paper's.

    Raises:
        ValueError: a temperature that is not above zero.
    """

    def __init__(self, first: float = 1.0, last: float = 0.05) -> None:
        for name, value in (("first", first), ("last", last)):
            if not value > 0:
                raise ValueError(f"method.relaxation.{name} is {value}; a temperature is above 0")
        self.first = first
        self.last = last
        self.temperature = first

    def sample(self, alphas: Tensor) -> Tensor:
        return (alphas / self.temperature).softmax(dim=-1)

    def mean(self, alphas: Tensor) -> Tensor:
        return self.sample(alphas)

    def anneal(self, progress: float) -> None:
        self.temperature = self.first * (self.last / self.first) ** progress
