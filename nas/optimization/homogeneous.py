"""The baseline: genotypes that choose the same everywhere."""

import torch

from nas.optimization.budget import Budget
from nas.optimization.candidates import CandidateTraining
from nas.optimization.feed import Feed
from nas.optimization.method import SearchMethod
from nas.optimization.recipe import Recipe
from nas.parallel import ALONE, Ranks
from nas.space import SearchSpace, Skeleton


class Homogeneous(SearchMethod):
    """Trains every homogeneous genotype of a space, such as all layers at 2, 3, 4 and 8 bits; keeps the best.

    They share the epochs. With a budget all of them are trained, because all make up the line that a search is held
    against, and the best one within the limit is kept. `candidates` is how many are trained at most, the first ones or
    with a budget the cheapest ones.

    Raises:
        ValueError: less than one candidate.
    """

    def __init__(self, *, name: str, candidates: int | None = None) -> None:
        if candidates is not None and candidates < 1:
            raise ValueError(f"method.candidates is {candidates}; give at least 1, or null for all")
        self.name = name
        self.candidates = candidates

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
        """As `SearchMethod.start`.

        Raises:
            ValueError: several ranks, a space without homogeneous genotypes, none within the budget, or fewer epochs
                than genotypes.
        """
        self.require_one_device(ranks)
        genotypes = space.homogeneous()
        if not genotypes:
            raise ValueError(
                f"space {space.name!r} has no homogeneous genotypes, since its choices share no candidate; "
                "give method=random for a baseline"
            )
        costs = {} if budget is None else {name: budget.spent(space, genotypes[name]) for name in genotypes}
        if self.candidates is not None:
            names = sorted(genotypes, key=lambda name: costs.get(name, 0))[: self.candidates]
            genotypes = {name: genotype for name, genotype in genotypes.items() if name in names}
        if recipe.epochs < len(genotypes):
            raise ValueError(
                f"trainer.epochs is {recipe.epochs}, but space {space.name!r} has {len(genotypes)} homogeneous "
                f"genotypes ({', '.join(genotypes)}) to train; give at least {len(genotypes)}"
            )
        if budget is not None and budget.limit is not None:
            cheapest = min(genotypes, key=costs.__getitem__)
            if costs[cheapest] > budget.limit:
                raise ValueError(
                    f"no homogeneous genotype of space {space.name!r} costs at most "
                    f"{budget.cost.in_words(budget.limit)}: the cheapest, {cheapest!r}, costs "
                    f"{budget.cost.in_words(costs[cheapest], up=True)}; give at least that"
                )
        return CandidateTraining(space, skeleton, genotypes, train, valid, recipe, device, budget)
