"""Cost models by enumeration, and a small space whose costs are counted."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from nas.architecture import Candidate, Choice, Mixture
from nas.costs import CostModel, count
from nas.space import ModuleSpace, Skeleton
from nas.supernet import MixedOp

Term = tuple[tuple[str, ...], Tensor]


class Enumerated(CostModel):
    """constant + sum of values[i, j, ...] over terms (choices, values); everything by trying all genotypes."""

    def __init__(self, choices: Sequence[Choice], terms: Sequence[Term], *, constant: float = 0.0, name: str = "macs"):
        self.name = name
        self.unit = name
        self.choices = {choice.name: choice for choice in choices}
        self.terms = [(names, values.double()) for names, values in terms]
        self.constant = constant

    def expected(self, mixture: Mapping[str, Tensor]) -> Tensor:
        total = torch.tensor(self.constant, dtype=torch.float64)
        for names, values in self.terms:
            for name in reversed(names):
                values = values @ mixture[name].double()
            total = total + values
        return total

    def exact(self, decisions: Mapping[str, Candidate]) -> float:
        at = {name: choice.index(decisions[name]) for name, choice in self.choices.items()}
        return self.constant + sum(float(values[tuple(at[name] for name in names)]) for names, values in self.terms)

    def smallest(self) -> tuple[float, dict[str, Candidate]]:
        return min(((self.exact(one), one) for one in self.genotypes()), key=lambda pair: pair[0])

    def largest(self) -> tuple[float, dict[str, Candidate]]:
        return max(((self.exact(one), one) for one in self.genotypes()), key=lambda pair: pair[0])

    def best_within(self, limit: float, scores: Mapping[str, Tensor]) -> dict[str, Candidate]:
        def score(one: Mapping[str, Candidate]) -> float:
            return sum(float(scores[name][choice.index(one[name])]) for name, choice in self.choices.items())

        return max((one for one in self.genotypes() if self.exact(one) <= limit), key=score)

    def genotypes(self) -> Iterator[dict[str, Candidate]]:
        for picks in itertools.product(*(choice.candidates for choice in self.choices.values())):
            yield dict(zip(self.choices, picks, strict=True))


def priced(costs: Mapping[str, Sequence[float]], *, constant: float = 0.0, name: str = "macs") -> Enumerated:
    """Independent choices, candidate i of which costs costs[choice][i]."""
    choices = [Choice(choice, tuple(range(len(values)))) for choice, values in costs.items()]
    terms = [((choice,), torch.tensor(values)) for choice, values in costs.items()]
    return Enumerated(choices, terms, constant=constant, name=name)


KERNELS = (1, 3, 5)


class Kernels(nn.Module):
    """Two convolutions that choose their kernel sizes; the middle of the first one's bright rows is what counts."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.first, self.second = (
            MixedOp({f"{k}x{k}": nn.Conv2d(width, 4, k, padding=k // 2) for k in KERNELS}) for width in (in_channels, 4)
        )
        self.head = nn.Linear(4, num_classes)

    def forward(self, x: Tensor, mixture: Mixture) -> Tensor:
        x = torch.relu(self.first(x, mixture["first/op"]))
        return self.head(torch.relu(self.second(x, mixture["second/op"])).amax(dim=(2, 3)))


class CostedSpace(ModuleSpace):
    """`Kernels`, whose parameters and multiply-accumulates are sums over the choices."""

    def cost(self, kind: str, skeleton: Skeleton) -> CostModel:
        if kind not in ("params", "macs"):
            raise ValueError(f"space {self.name!r} knows no {kind}; it has params, macs")
        first = {choice.name: choice.candidates[0] for choice in self.choices}

        def counted(decisions: Mapping[str, Candidate]) -> float:
            network = self.network(self._genotype(decisions), skeleton)
            return float(getattr(count(network, skeleton.image_shape), kind))

        base = counted(first)
        extra = {c.name: [counted({**first, c.name: one}) - base for one in c.candidates] for c in self.choices}
        terms = [((name,), torch.tensor(values)) for name, values in extra.items()]
        return Enumerated(self.choices, terms, constant=base, name=kind)


def costed_space() -> CostedSpace:
    """The space of `Kernels`, for a config."""
    return CostedSpace("costed", lambda skeleton: Kernels(skeleton.in_channels, skeleton.num_classes))
