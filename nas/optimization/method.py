"""What every search method does."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch

from nas.architecture import CandidateRecord, EpochRecord, Mixture
from nas.optimization.budget import Budget
from nas.optimization.feed import Feed
from nas.optimization.recipe import Recipe
from nas.parallel import ALONE, Ranks
from nas.space import SearchSpace, Skeleton


class SearchProcess(ABC):
    """A search under way."""

    @property
    @abstractmethod
    def position(self) -> tuple[int, int]:
        """The epoch and the step of it that come next, from 0; the epochs of all networks that it trains count."""

    @abstractmethod
    def epochs(self, on_step: Callable[[], None]) -> Iterator[EpochRecord]:
        """Runs the search from where it stands; yields a record after each epoch, calls `on_step` after each step."""

    @abstractmethod
    def finished(self) -> Sequence[CandidateRecord]:
        """The discrete networks trained so far, in order; none for a method that trains a supernet."""

    @abstractmethod
    def compile(self) -> float:
        """Compiles what all epochs run, ahead of the first; returns the seconds that it took.

        Raises:
            ValueError: a method that has nothing to compile.
            CompilationError: it failed, and the search runs as if it had not been tried.
        """

    @abstractmethod
    def record_steps(self) -> None:
        """From now on the steps are replayed from CUDA graphs.

        Raises:
            ValueError: a method that has nothing to record.
            RecordingError: its steps cannot be recorded, and the search runs as if it had not been tried.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that decides the steps to come, as tensors and plain data; within `on_step` and after an epoch.

        All ranks take it together, and it is that of all.

        Raises:
            NonFiniteLossError: it is of no use, because a loss, alphas or weights are NaN or infinite.
        """

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from `state_dict`, to the bit; before compiling and recording.

        Raises:
            ValueError: a state that does not fit this search.
        """

    @abstractmethod
    def roll_back(self, state: Mapping[str, Any]) -> None:
        """Takes up a state of its own, but goes on with the batches that come next now."""

    @abstractmethod
    def try_step(self, rows: int) -> None:
        """A whole step on the first rows of a batch, alone; a search that broke off is of no other use after it.

        Raises:
            OutOfMemoryError: torch's, where it does not fit.
        """

    @abstractmethod
    def mixture(self) -> Mixture | None:
        """The mean mixture now, or None for a method without alphas."""


class SearchMethod(ABC):
    """A way to find a genotype in a space, within the epochs of a recipe.

    `shares_batches` says whether several ranks can run it together, each on its rows of every batch.
    """

    name: str
    shares_batches: ClassVar[bool] = False

    @abstractmethod
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
    ) -> SearchProcess:
        """Builds all that the search needs; the global seed decides its random draws.

        Raises:
            ValueError: several ranks, and a method that cannot share its batches among them; or a budget that it
                cannot meet.
        """

    def require_one_device(self, ranks: Ranks) -> None:
        """Refuses several ranks, for a method that cannot share its batches."""
        if ranks.size > 1:
            raise ValueError(f"method {self.name!r} runs on one device, not on {ranks.size}; give trainer.devices=1")
