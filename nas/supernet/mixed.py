"""What every mixed module does."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from nas.architecture import Candidate


class MixedModule(nn.Module, ABC):
    """A module that holds every candidate of one choice; `kind` says what the choice is about (`op`, `width`, ...)."""

    kind: str

    @property
    @abstractmethod
    def candidates(self) -> tuple[Candidate, ...]:
        """The candidates, in the order of the mixture's weights."""

    @abstractmethod
    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """The mixture of all candidates at `x`; `weights` has shape (candidates,)."""

    @abstractmethod
    def select(self, candidate: Candidate) -> nn.Module:
        """The plain module of one candidate, with the weights that it has here (shared, not copied)."""
