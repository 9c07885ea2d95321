"""Mixtures that are drawn."""

from abc import abstractmethod

import torch
from torch import Tensor

from nas.relaxation.relaxation import Relaxation


class Drawn(Relaxation):
    """A relaxation whose mixtures are drawn from a distribution with a known score."""

    @abstractmethod
    def score(self, alphas: Tensor, weights: Tensor) -> Tensor:
        """d log p(weights; alphas) / dalphas, (rows, candidates)."""


class Multinomial(Drawn):
    """w = c / n in each row, counts c ~ Multinomial(n, softmax(alpha)) of n = `draws` (Zur et al., 2019, part A).

    With one draw a candidate is chosen for each row, with more the row is shared. The score is c - n softmax(alpha). As
    a pathwise gradient that of the mean stands in (straight through). Deviation: the paper draws once for each filter
    of a layer, so that n differs from layer to layer; here n is the same for all.

    Raises:
        ValueError: less than one draw.
    """

    def __init__(self, draws: int = 1) -> None:
        if draws < 1:
            raise ValueError(f"method.relaxation.draws is {draws}; give at least 1")
        self.draws = draws

    def sample(self, alphas: Tensor) -> Tensor:
        mean = self.mean(alphas)
        # it refuses NaN, on a GPU by an error that ends the process; who asked is to say which step made the alphas so
        weights = mean.detach().nan_to_num(nan=1.0)
        picks = torch.multinomial(weights, self.draws, replacement=True)
        counts = torch.zeros_like(alphas).scatter_add(1, picks, torch.ones_like(picks, dtype=alphas.dtype))
        return counts / self.draws + (mean - mean.detach())

    def mean(self, alphas: Tensor) -> Tensor:
        return alphas.softmax(dim=-1)

    def anneal(self, progress: float) -> None:
        """Nothing changes in the course of a search."""

    def score(self, alphas: Tensor, weights: Tensor) -> Tensor:
        return self.draws * (weights - self.mean(alphas))
