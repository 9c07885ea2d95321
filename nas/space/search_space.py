"""What every search space does."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import nn

from nas.architecture import BarChart, Choice, Genotype, Graph, Mixture
from nas.costs import CostModel, Seconds
from nas.space.network import DiscreteNetwork
from nas.space.skeleton import Skeleton


class SearchSpace(ABC):
    """Named choices, the supernet that holds every candidate of them, and the discrete networks they lead to."""

    name: str
    unused: ClassVar[Mapping[str, str]] = {}
    """The fields of a skeleton that its networks have no use for, each with what a person can do instead."""

    @property
    @abstractmethod
    def choices(self) -> Sequence[Choice]:
        """All choices, in a fixed order."""

    @abstractmethod
    def supernet(self, skeleton: Skeleton) -> nn.Module:
        """A module called as `supernet(x, mixture)` that returns logits and depends on nothing else."""

    @abstractmethod
    def compiled_parts(self, supernet: nn.Module) -> Sequence[nn.Module]:
        """The parts of a supernet that torch.compile turns into programs; those of one class and shape share theirs."""

    @abstractmethod
    def derive(self, mixture: Mixture) -> Genotype:
        """The genotype that a mixture leads to; ties are broken in favour of the first candidate."""

    @abstractmethod
    def selection(self, genotype: Genotype) -> Mixture:
        """The mixture that *is* a genotype: 1 at what is kept, 0 elsewhere."""

    @abstractmethod
    def sample(self, generator: torch.Generator) -> Genotype:
        """A genotype drawn uniformly from the space."""

    @abstractmethod
    def network(self, genotype: Genotype, skeleton: Skeleton) -> DiscreteNetwork:
        """The discrete network in the form that is trained from scratch."""

    @abstractmethod
    def inherited(self, supernet: nn.Module, genotype: Genotype) -> DiscreteNetwork:
        """The discrete network cut out of a supernet, weights copied: equal to it at `selection(genotype)`."""

    @abstractmethod
    def cost(self, kind: str, skeleton: Skeleton, seconds: Seconds | None = None) -> CostModel:
        """The cost of every genotype: `kind` is params, macs, bops, memory or latency.

        A latency adds up `seconds`, what each layer takes, and asks them of every layer that a genotype may have.

        Raises:
            ValueError: a space that does not know its costs before it is trained, or latency without `seconds`.
        """

    @abstractmethod
    def homogeneous(self) -> Mapping[str, Genotype]:
        """The genotypes that choose the same everywhere, by a name of what they choose (may be empty)."""

    @abstractmethod
    def graphs(self, genotype: Genotype) -> tuple[Graph, ...]:
        """What the genotype looks like."""

    @abstractmethod
    def charts(self, genotype: Genotype) -> tuple[BarChart, ...]:
        """The sizes that the genotype chose, place by place (may be none)."""

    @abstractmethod
    def statistics(self, genotype: Genotype) -> Mapping[str, float]:
        """Numbers worth following over a search, by name (may be empty)."""
