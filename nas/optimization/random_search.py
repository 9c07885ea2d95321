"""The baseline: random genotypes, trained one after the other."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F

from nas.architecture import EpochRecord, Genotype, Mixture
from nas.optimization.feed import Feed
from nas.optimization.measure import NonFiniteLossError, evaluate, require_finite
from nas.optimization.method import SearchMethod, SearchProcess
from nas.optimization.recipe import Recipe
from nas.optimization.training import DiscreteLoss, TrainingRecord, train
from nas.parallel import ALONE, Ranks
from nas.space import DiscreteNetwork, SearchSpace, Skeleton


class RandomSearch(SearchMethod):
    """Draws genotypes, trains each from scratch for `epochs_per_candidate` epochs, keeps the best.

    The budget is that of a gradient search: as many epochs over the training half in all, so that there are
    epochs // epochs_per_candidate candidates (at least one); the first ones get what is left over. The best is the one
    of the highest accuracy on the validation half after its last epoch, the earlier one on ties.

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
    ) -> "RandomSearchProcess":
        if ranks.size > 1:
            raise ValueError(f"method {self.name!r} runs on one device, not on {ranks.size}; give trainer.devices=1")
        generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
        genotypes = [space.sample(generator) for _ in range(max(1, recipe.epochs // self.epochs_per_candidate))]
        return RandomSearchProcess(space, skeleton, genotypes, train, valid, recipe, device)


class RandomSearchProcess(SearchProcess):
    """A random search under way."""

    def __init__(
        self,
        space: SearchSpace,
        skeleton: Skeleton,
        genotypes: list[Genotype],
        train: Feed,
        valid: Feed,
        recipe: Recipe,
        device: torch.device,
    ) -> None:
        self.space = space
        self.skeleton = skeleton
        self.genotypes = genotypes
        self.train = train
        self.valid = valid
        self.recipe = recipe
        self.device = device
        self._network: DiscreteNetwork | None = None

    def epochs(self, on_step: Callable[[], None]) -> Iterator[EpochRecord]:
        best, best_accuracy, first = self.genotypes[0], -1.0, 0
        for genotype, share in zip(self.genotypes, _shares(self.recipe.epochs, len(self.genotypes)), strict=True):
            for training in self._train_candidate(genotype, first, share, on_step):
                start = time.perf_counter()
                valid_loss, valid_accuracy = self._validate()
                require_finite(first + training.epoch, validation_loss=valid_loss)
                # only candidates that had their whole share are compared
                if training.epoch == share - 1 and valid_accuracy > best_accuracy:
                    best, best_accuracy = genotype, valid_accuracy
                yield EpochRecord(
                    epoch=first + training.epoch,
                    train_loss=training.train_loss,
                    train_accuracy=training.train_accuracy,
                    valid_loss=valid_loss,
                    valid_accuracy=valid_accuracy,
                    alphas={},
                    genotype=best,
                    seconds=training.seconds + time.perf_counter() - start,
                )
            first += share

    def _train_candidate(
        self, genotype: Genotype, first: int, share: int, on_step: Callable[[], None]
    ) -> Iterator[TrainingRecord]:
        self._network = self.space.network(genotype, self.skeleton).to(self.device)
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

    def compile(self) -> float:
        raise ValueError("compile=true compiles a supernet, which a random search does not have: leave it out")

    def record_steps(self) -> None:
        raise ValueError("cuda_graphs=true records the steps of a supernet, which a random search lacks: leave it out")

    def state_dict(self) -> dict[str, Any]:
        return {"weights": self._network.state_dict() if self._network is not None else {}}

    def mixture(self) -> Mixture | None:
        return None


def _shares(epochs: int, candidates: int) -> list[int]:
    """Epochs of each candidate: equal, the first ones get what is left over."""
    return [epochs // candidates + (index < epochs % candidates) for index in range(candidates)]
