"""Discrete networks trained one after the other, of which the best is kept."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F

from nas.architecture import CandidateRecord, EpochRecord, Genotype, Mixture
from nas.optimization.budget import Budget
from nas.optimization.feed import Feed
from nas.optimization.measure import NonFiniteLossError, evaluate, require_finite
from nas.optimization.method import SearchProcess
from nas.optimization.recipe import Recipe
from nas.optimization.training import DiscreteLoss, TrainingRecord, train
from nas.space import DiscreteNetwork, SearchSpace, Skeleton
from nas.supernet import calibrate


class CandidateTraining(SearchProcess):
    """Trains each of some named genotypes from scratch for its share of the epochs, and keeps the best.

    The shares are equal, the first ones get what is left over. The best is the one of the highest accuracy on the
    validation half after its last epoch, the earlier one on ties; with a `budget` only genotypes within its limit can
    be, and at least one of them is.
    """

    def __init__(
        self,
        space: SearchSpace,
        skeleton: Skeleton,
        genotypes: Mapping[str, Genotype],
        train: Feed,
        valid: Feed,
        recipe: Recipe,
        device: torch.device,
        budget: Budget | None = None,
    ) -> None:
        self.space = space
        self.skeleton = skeleton
        self.genotypes = genotypes
        self.train = train
        self.valid = valid
        self.recipe = recipe
        self.device = device
        self.budget = budget
        self._network: DiscreteNetwork | None = None
        self._finished: list[CandidateRecord] = []

    def epochs(self, on_step: Callable[[], None]) -> Iterator[EpochRecord]:
        best, best_accuracy, first = next(filter(self._allowed, self.genotypes.values())), -1.0, 0
        shares = _shares(self.recipe.epochs, len(self.genotypes))
        for (name, genotype), share in zip(self.genotypes.items(), shares, strict=True):
            for training in self._train_candidate(genotype, first, share, on_step):
                start = time.perf_counter()
                valid_loss, valid_accuracy = self._validate()
                require_finite(first + training.epoch, validation_loss=valid_loss)
                if training.epoch == share - 1:  # only candidates that had their whole share are compared
                    of_training = share, training.train_loss, training.train_accuracy
                    self._finished.append(CandidateRecord(name, genotype, *of_training, valid_loss, valid_accuracy))
                    if valid_accuracy > best_accuracy and self._allowed(genotype):
                        best, best_accuracy = genotype, valid_accuracy
                yield EpochRecord(
                    epoch=first + training.epoch,
                    train_loss=training.train_loss,
                    train_accuracy=training.train_accuracy,
                    valid_loss=valid_loss,
                    valid_accuracy=valid_accuracy,
                    alphas={},
                    genotype=best,
                    budget={} if self.budget is None else self.budget.standing(self.space, best),
                    seconds=training.seconds + time.perf_counter() - start,
                )
            first += share

    def finished(self) -> Sequence[CandidateRecord]:
        return tuple(self._finished)

    def compile(self) -> float:
        raise ValueError("compile=true compiles a supernet, which a search without alphas does not have: leave it out")

    def record_steps(self) -> None:
        raise ValueError(
            "cuda_graphs=true records the steps of a supernet, which a search without alphas lacks: leave it out"
        )

    def state_dict(self) -> dict[str, Any]:
        return {"weights": self._network.state_dict() if self._network is not None else {}}

    def mixture(self) -> Mixture | None:
        return None

    def _allowed(self, genotype: Genotype) -> bool:
        return self.budget is None or self.budget.allows(self.space, genotype)

    def _train_candidate(
        self, genotype: Genotype, first: int, share: int, on_step: Callable[[], None]
    ) -> Iterator[TrainingRecord]:
        self._network = network = self.space.network(genotype, self.skeleton).to(self.device)
        calibrate(network, lambda: network(self.train.first_images()))
        optimizer = self.recipe.optimizer(self._network.parameters())
        recipe, loss = replace(self.recipe, epochs=share), DiscreteLoss(F.cross_entropy)
        try:
            yield from train(self._network, self.train, recipe, optimizer, loss, on_step=on_step)
        except NonFiniteLossError as error:
            raise NonFiniteLossError(error.name, error.value, first + error.epoch) from None

    def _validate(self) -> tuple[float, float]:
        assert self._network is not None
        batches = self.valid.in_order()
        return evaluate(self._network.eval(), batches, F.cross_entropy, autocast=self.recipe.autocast)


def _shares(epochs: int, candidates: int) -> list[int]:
    """Epochs of each candidate: equal, the first ones get what is left over."""
    return [epochs // candidates + (index < epochs % candidates) for index in range(candidates)]
