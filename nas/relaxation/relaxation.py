"""What every relaxation does."""

from abc import ABC, abstractmethod

from torch import Tensor


class Relaxation(ABC):
    """A map from alphas to mixture weights, table by table.

    The same relaxation trains the supernet (`sample`) and derives the genotype (`mean`), so that what is kept is what
    was trained. Both take alphas of shape (rows, candidates) and return weights of the same shape and dtype.
    """

    @abstractmethod
    def sample(self, alphas: Tensor) -> Tensor:
        """The weights of one forward pass, differentiable in `alphas`; a random relaxation draws here."""

    @abstractmethod
    def mean(self, alphas: Tensor) -> Tensor:
        """The weights to evaluate and to derive with: no randomness."""

    @abstractmethod
    def anneal(self, progress: float) -> None:
        """Tells how much of the search is over, 0 at its first epoch and 1 at its last; temperatures follow it."""
