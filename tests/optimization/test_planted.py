"""Searches whose right answer is known: the operators that made the data."""

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.architecture import ArchParameters, Mixture
from nas.optimization import Feed, FirstOrder, Objective, SecondOrder, SingleLevel, search
from nas.optimization.objective import Batch
from nas.relaxation import Softmax
from nas.space import ModuleSpace, Skeleton
from nas.supernet import MixedOp
from tests.optimization.toys import Nothing, SinThree, Square, adam, in_order, recipe, stream

KINDS = [FirstOrder, SecondOrder, SingleLevel]
# no mixture of some of them imitates another
OPERATORS = {"zero": Nothing, "identity": nn.Identity, "square": Square, "sine": SinThree}


def mixed() -> MixedOp:
    return MixedOp({name: make() for name, make in OPERATORS.items()})


class Sum(nn.Module):
    """y = scale * sum_i mixed_i(x_i) + shift; one scale for all, so that no choice can hide behind its own."""

    def __init__(self) -> None:
        super().__init__()
        self.terms = nn.ModuleList(mixed() for _ in range(4))
        self.scale, self.shift = nn.Parameter(torch.ones(())), nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, mixture: Mixture) -> Tensor:
        terms = [term(x[:, i], mixture[f"terms/{i}/op"]) for i, term in enumerate(self.terms)]
        return (self.scale * torch.stack(terms).sum(dim=0) + self.shift)[:, None]


class Profile(nn.Module):
    """Mean brightness along rows (dim 2) or columns (dim 1) of (N, S, S): (N, S)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=self.dim)


class Stripes(nn.Module):
    """Logits from the sum of one profile of each of two channels."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = (MixedOp({"rows": Profile(2), "columns": Profile(1)}) for _ in range(2))
        self.classifier = nn.Linear(6, 3)

    def forward(self, x: Tensor, mixture: Mixture) -> Tensor:
        left, right = self.left(x[:, 0], mixture["left/op"]), self.right(x[:, 1], mixture["right/op"])
        return self.classifier(left + right)


def found(space: ModuleSpace, kind: Any, criterion: Any, train: Batch, valid: Batch) -> dict[str, Any]:
    """The decisions of ten epochs of search."""
    torch.manual_seed(0)
    supernet, arch, settings = space.supernet(Skeleton()), ArchParameters(space.choices), recipe(10)
    bilevel = kind(
        Objective(supernet, criterion),
        arch,
        Softmax(),
        settings.optimizer(supernet.parameters()),
        adam(arch.parameters(), rate=0.1),
        clip_norm=settings.clip_norm,
    )
    feeds = [Feed(stream(data, 32, 7), 20, partial(in_order, data, 64)) for data in (train, valid)]
    records = list(search(space, bilevel, *feeds, settings))
    assert records[-1].valid_loss < 0.3 * records[0].valid_loss
    return dict(records[-1].genotype.decisions)


def planted(*plans: str) -> pytest.MarkDecorator:
    """Every kind with every plan, of which all but one of a kind are slow."""
    return pytest.mark.parametrize(
        ("kind", "plan"),
        [
            pytest.param(kind, plan, marks=() if number == place % len(plans) else pytest.mark.slow)
            for place, kind in enumerate(KINDS)
            for number, plan in enumerate(plans)
        ],
    )


def sums(plan: list[str], *, seed: int) -> Batch:
    """x in [-2, 2]^4 and y = 1.5 * sum_i plan_i(x_i) + 0.5."""
    x = 4 * torch.rand(256, 4, generator=torch.Generator().manual_seed(seed)) - 2
    return x, 1.5 * sum(OPERATORS[name]()(x[:, i]) for i, name in enumerate(plan)) + 0.5


@planted("square zero sine identity", "zero sine sine zero", "identity identity square sine")
def test_finds_the_terms_of_a_sum(kind: Any, plan: str) -> None:
    space, names = ModuleSpace("sum", lambda skeleton: Sum()), plan.split()
    decisions = found(space, kind, lambda out, y: F.mse_loss(out[:, 0], y), sums(names, seed=1), sums(names, seed=2))
    assert list(decisions.values()) == names


def stripes(plan: list[str], *, seed: int) -> Batch:
    """Each of two channels has a bright row and a bright column: the planned one at the label, the other anywhere."""
    generator = torch.Generator().manual_seed(seed)
    labels, anywhere = torch.randint(3, (256,), generator=generator), torch.randint(6, (2, 256), generator=generator)
    images, each = 0.3 * torch.randn(256, 2, 6, 6, generator=generator), torch.arange(256)
    for channel, direction in enumerate(plan):
        rows, columns = (2 * labels, anywhere[channel]) if direction == "rows" else (anywhere[channel], 2 * labels)
        images[each, channel, rows, :] += 1
        images[each, channel, :, columns] += 1
    return images, labels


@planted("rows columns", "columns rows", "rows rows")
def test_finds_the_direction_of_stripes(kind: Any, plan: str) -> None:
    space, names = ModuleSpace("stripes", lambda skeleton: Stripes()), plan.split()
    decisions = found(space, kind, F.cross_entropy, stripes(names, seed=1), stripes(names, seed=2))
    assert list(decisions.values()) == names
