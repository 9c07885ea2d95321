"""The baseline: random genotypes, trained one after the other."""

import torch

from nas.architecture import Genotype
from nas.optimization.budget import Budget
from nas.optimization.candidates import CandidateTraining
from nas.optimization.feed import Feed
from nas.optimization.method import SearchMethod
from nas.optimization.recipe import Recipe
from nas.parallel import ALONE, Ranks
from nas.space import SearchSpace, Skeleton

MOST_DRAWS = 10_000
"""Genotypes drawn for one that is within a budget, before it is given up."""


class RandomSearch(SearchMethod):
    """Draws genotypes, trains each from scratch for `epochs_per_candidate` epochs, keeps the best.

    It trains as long as a gradient search: as many epochs over the training half in all, so that there are
    epochs // epochs_per_candidate candidates (at least one); the first ones get what is left over. With a budget the
    genotypes are drawn uniformly from those within its limit, by drawing again.

    Raises:
        ValueError: less than one epoch a candidate.
    """

    def __init__(self, *, name: str, epochs_per_candidate: int) -> None:
        if epochs_per_candidate < 1:
            raise ValueError(f"method.epochs_per_candidate is {epochs_per_candidate}; give at least 1")
        self.name = name
        self.epochs_per_candidate = epochs_per_candidate

    def start(
        self,
        space: SearchSpace,
        skeleton: Skeleton,
        train: Feed,
        valid: Feed,
        recipe: Recipe,
        device: torch.device,
        ranks: Ranks = ALONE,
        budget: Budget | None = None,
    ) -> CandidateTraining:
        self.require_one_device(ranks)
        generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
        count = max(1, recipe.epochs // self.epochs_per_candidate)
        genotypes = {f"random {number}": _drawn(space, generator, budget) for number in range(count)}
        return CandidateTraining(space, skeleton, genotypes, train, valid, recipe, device, budget)


def _drawn(space: SearchSpace, generator: torch.Generator, budget: Budget | None) -> Genotype:
    """A random genotype within the budget; a ValueError if there seems to be none."""
    for _ in range(MOST_DRAWS):
        genotype = space.sample(generator)
        if budget is None or budget.allows(space, genotype):
            return genotype
    assert budget is not None
    assert budget.limit is not None
    raise ValueError(
        f"none of {MOST_DRAWS:,} random genotypes of space {space.name!r} costs at most "
        f"{budget.cost.in_words(budget.limit)}: give a larger budget, or search by gradients with budget.hard=true"
    )
