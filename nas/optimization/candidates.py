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
from nas.optimization.training import DiscreteLoss, Training, TrainingRecord
from nas.reading import require_count, require_form, require_keys
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
        self._shares = _shares(recipe.epochs, len(genotypes))
        self._candidate = 0
        self._training: Training | None = None
        self._finished: list[CandidateRecord] = []

    def epochs(self, on_step: Callable[[], None]) -> Iterator[EpochRecord]:
        named = list(self.genotypes.items())
        while self._candidate < len(named):
            name, genotype = named[self._candidate]
            first, share = self._first, self._shares[self._candidate]
            present = self._training = self._training or self._started(genotype, share)
            for training in self._trained(present, first, on_step):
                start = time.perf_counter()
                valid_loss, valid_accuracy = self._validate(present.network)
                require_finite(first + training.epoch, validation_loss=valid_loss)
                if training.epoch == share - 1:  # only candidates that had their whole share are compared
                    of_training = share, training.train_loss, training.train_accuracy
                    self._finished.append(CandidateRecord(name, genotype, *of_training, valid_loss, valid_accuracy))
                best = self._best()
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
            self._candidate, self._training = self._candidate + 1, None

    @property
    def position(self) -> tuple[int, int]:
        if self._training is None:
            return self._first, 0
        return self._first + self._training.progress.epoch, self._training.progress.step

    def finished(self) -> Sequence[CandidateRecord]:
        return tuple(self._finished)

    def compile(self) -> float:
        raise ValueError("compile=true compiles a supernet, which a search without alphas does not have: leave it out")

    def record_steps(self) -> None:
        raise ValueError(
            "cuda_graphs=true records the steps of a supernet, which a search without alphas lacks: leave it out"
        )

    def state_dict(self) -> dict[str, Any]:
        return {
            "candidate": self._candidate,
            "finished": [record.to_dict() for record in self._finished],
            "training": None if self._training is None else self._training.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        finished = [_finished(record, f"finished[{number}]") for number, record in enumerate(state["finished"])]
        candidate = require_count(state["candidate"], "candidate", len(self.genotypes))
        if len(finished) - candidate not in (0, 1):
            raise ValueError(f"candidate is {candidate}, with {len(finished)} networks that are finished")
        for record, (name, genotype), share in zip(finished, self.genotypes.items(), self._shares, strict=False):
            if (record.name, record.genotype, record.epochs) != (name, genotype, share):
                raise ValueError(
                    f"the run trained {record.name} for {record.epochs} epochs, where this one has {name} for {share}: "
                    "give the settings that it began with; without alphas a search cannot be made longer"
                )
        self._finished, self._candidate, self._training = finished, candidate, None
        if state["training"] is not None:
            genotype = list(self.genotypes.values())[self._candidate]
            self._training = self._started(genotype, self._shares[self._candidate])
            self._training.load_state_dict(state["training"])

    def roll_back(self, state: Mapping[str, Any]) -> None:
        assert state["training"] is not None, "a state that was taken after a step"
        self.load_state_dict({**state, "training": {**state["training"], "stream": self.train.state_dict()}})

    def try_step(self, rows: int) -> None:
        name, epochs = list(self.genotypes)[self._candidate], self._shares[self._candidate]
        self._training = self._training or self._started(self.genotypes[name], epochs)
        self._training.try_step(rows)

    def mixture(self) -> Mixture | None:
        return None

    @property
    def _first(self) -> int:
        """The first epoch of the present candidate."""
        return sum(self._shares[: self._candidate])

    def _best(self) -> Genotype:
        """The genotype to keep now."""
        allowed = [record for record in self._finished if self._allowed(record.genotype)]
        if allowed:
            return max(allowed, key=lambda record: record.valid_accuracy).genotype
        return next(filter(self._allowed, self.genotypes.values()))

    def _allowed(self, genotype: Genotype) -> bool:
        return self.budget is None or self.budget.allows(self.space, genotype)

    def _started(self, genotype: Genotype, epochs: int) -> Training:
        """A candidate before its first step."""
        network = self.space.network(genotype, self.skeleton).to(self.device)
        calibrate(network, lambda: network(self.train.first_images()))
        recipe = replace(self.recipe, epochs=epochs)
        return Training(network, self.train, recipe, DiscreteLoss(F.cross_entropy), self.device)

    def _trained(self, training: Training, first: int, on_step: Callable[[], None]) -> Iterator[TrainingRecord]:
        try:
            yield from training.epochs(on_step)
        except NonFiniteLossError as error:
            raise NonFiniteLossError(error.name, error.value, first + error.epoch, error.step) from None

    def _validate(self, network: DiscreteNetwork) -> tuple[float, float]:
        batches = self.valid.in_order()
        return evaluate(network.eval(), batches, F.cross_entropy, autocast=self.recipe.autocast)


def _finished(data: Any, place: str) -> CandidateRecord:
    """What a checkpoint says of a network that was trained; a ValueError for another form."""
    numbers = dict.fromkeys(("train_loss", "train_accuracy", "valid_loss", "valid_accuracy"), 0.0)
    require_keys(data, {"name": "", "genotype": {}, "epochs": 0, **numbers}, place)
    require_form({name: data[name] for name in numbers}, numbers, place)
    return CandidateRecord.from_dict(data)


def _shares(epochs: int, candidates: int) -> list[int]:
    """Epochs of each candidate: equal, the first ones get what is left over."""
    return [epochs // candidates + (index < epochs % candidates) for index in range(candidates)]
