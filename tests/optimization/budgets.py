"""Cost models of independent choices, and a small space whose costs are counted."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nas.architecture import Candidate, Choice, Mixture
from nas.costs import CostModel, CostTerm, Seconds, count
from nas.space import ModuleSpace, Skeleton
from nas.supernet import MixedOp


def priced(costs: Mapping[str, Sequence[float]], *, constant: float = 0.0) -> CostModel:
    """Independent choices, candidate i of which costs costs[choice][i] macs."""
    choices = {name: Choice(name, tuple(range(len(values)))) for name, values in costs.items()}
    return CostModel("macs", "macs", choices, [term(constant), *(term(values, name) for name, values in costs.items())])


def term(values: Any, *choices: str) -> CostTerm:
    """What the candidates of some choices cost together; a constant without choices."""
    return CostTerm(choices, torch.tensor(values, dtype=torch.float64))


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

    def cost(self, kind: str, skeleton: Skeleton, seconds: Seconds | None = None) -> CostModel:
        if kind not in ("params", "macs"):
            raise ValueError(f"space {self.name!r} knows no {kind}; it has params, macs")
        first = {choice.name: choice.candidates[0] for choice in self.choices}

        def counted(decisions: Mapping[str, Candidate]) -> float:
            network = self.network(self.genotype(decisions), skeleton)
            return float(getattr(count(network, skeleton.image_shape), kind))

        base = counted(first)
        extra = {c.name: [counted({**first, c.name: one}) - base for one in c.candidates] for c in self.choices}
        terms = [term(base), *(term(values, name) for name, values in extra.items())]
        return CostModel(kind, kind, {choice.name: choice for choice in self.choices}, terms)


def costed_space() -> CostedSpace:
    """The space of `Kernels`, for a config."""
    return CostedSpace("costed", lambda skeleton: Kernels(skeleton.in_channels, skeleton.num_classes))
