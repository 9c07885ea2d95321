"""A search space made of any module that holds mixed modules."""

import copy
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from nas.architecture import BarChart, Choice, Edge, Genotype, Graph, Mixture
from nas.costs import CostModel, Seconds
from nas.space.independent import IndependentChoices
from nas.space.network import DiscreteNetwork
from nas.space.skeleton import Skeleton
from nas.supernet import MixedModule


class ModuleSpace(IndependentChoices):
    """The space of all ways to choose one candidate in each mixed module of a user's own network.

    `build(skeleton)` returns a module called as `module(x, mixture)`. A choice is named after the place of its mixed
    module: the one at `self.block.conv`, say a `MixedOp`, is the choice `block/conv/op`, so that `forward` reads
    `self.block.conv(x, mixture["block/conv/op"])`. The largest weight decides.

    Raises:
        ValueError: a module without mixed modules.
    """

    def __init__(self, name: str, build: Callable[[Skeleton], nn.Module]) -> None:
        self.build = build
        with torch.random.fork_rng(devices=[]):
            places = _mixed_modules(build(Skeleton()))
        if not places:
            raise ValueError(f"the module of space {name!r} holds no mixed module: put in at least one, say a MixedOp")
        choices = (Choice(place, module.candidates) for place, (_, module) in places.items())
        super().__init__(name, choices, settings={})

    def supernet(self, skeleton: Skeleton) -> nn.Module:
        return self.build(skeleton)

    def compiled_parts(self, supernet: nn.Module) -> Sequence[nn.Module]:
        return (supernet,)

    def network(self, genotype: Genotype, skeleton: Skeleton) -> DiscreteNetwork:
        return self.inherited(self.build(skeleton), genotype)

    def inherited(self, supernet: nn.Module, genotype: Genotype) -> DiscreteNetwork:
        mixture = self.selection(genotype)
        module = copy.deepcopy(supernet)
        for place, (paths, mixed) in _mixed_modules(module).items():
            selected = _Selected(mixed.select(genotype.decisions[place]))
            for path in paths:
                module.set_submodule(path, selected)
        return _SelectedNetwork(module, mixture)

    def cost(self, kind: str, skeleton: Skeleton, seconds: Seconds | None = None) -> CostModel:
        raise ValueError(
            f"space {self.name!r} knows no {kind} for a budget: what a candidate costs depends on where it stands in a "
            "module of your own; leave the budget out, or subclass ModuleSpace and write its `cost`"
        )

    def homogeneous(self) -> Mapping[str, Genotype]:
        """One genotype for each candidate that all choices have."""
        shared = [one for one in self.choices[0].candidates if all(one in choice.candidates for choice in self.choices)]
        return {str(one): self.genotype({choice.name: one for choice in self.choices}) for one in shared}

    def graphs(self, genotype: Genotype) -> tuple[Graph, ...]:
        names = tuple(genotype.decisions)
        path = ("x", *names)
        edges = [Edge(source, target, str(genotype.decisions[target])) for source, target in pairwise(path)]
        title = f"{self.name}: the choices in the order of the module; how they are connected is not known"
        return (Graph(title, ("x",), names, "logits", (*edges, Edge(path[-1], "logits"))),)

    def charts(self, genotype: Genotype) -> tuple[BarChart, ...]:
        return ()

    def statistics(self, genotype: Genotype) -> Mapping[str, float]:
        return {}


class _Selected(nn.Module):
    """One candidate where a mixed module stood: the weights are not used any more."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        return self.module(x)


class _SelectedNetwork(DiscreteNetwork):
    """A user's module after every choice was made: the mixture is a constant that only its names are used of."""

    def __init__(self, module: nn.Module, mixture: Mixture) -> None:
        super().__init__()
        self.module = module
        self._mixture = mixture

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x, self._mixture)

    def training_logits(self, x: Tensor) -> tuple[Tensor, ...]:
        return (self(x),)


def _mixed_modules(module: nn.Module) -> dict[str, tuple[list[str], MixedModule]]:
    """Choice name -> (module paths, mixed module), without those inside another mixed module.

    A mixed module at several places is one choice, named after the first of them.
    """
    places: dict[MixedModule, list[str]] = {}
    for path, child in module.named_modules(remove_duplicate=False):
        inside = any(path.startswith(f"{outer}.") for paths in places.values() for outer in paths)
        if isinstance(child, MixedModule) and not inside:
            places.setdefault(child, []).append(path)
    return {f"{paths[0].replace('.', '/')}/{mixed.kind}": (paths, mixed) for mixed, paths in places.items()}
