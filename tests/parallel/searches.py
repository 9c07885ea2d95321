"""Searches of a few steps, as one process or several run them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nas.architecture import ArchParameters
from nas.costs import CostModel
from nas.optimization import (
    BilevelOptimizer,
    Budget,
    Feed,
    FirstOrder,
    Objective,
    SecondOrder,
    SingleLevel,
    search,
)
from nas.optimization.objective import Batch
from nas.parallel import Ranks
from nas.relaxation import Relaxation, Softmax
from nas.space import ModuleSpace, SearchSpace, Skeleton
from nas.supernet import MixedOp, calibrate
from search_spaces.cells import CellSpace
from search_spaces.networks import NetworkSpace
from tests.optimization.budgets import term
from tests.optimization.toys import Gumbel, adam, recipe, small_space
from tests.search_spaces.spaces import darts, pc_darts

OPTIMIZERS = {"first_order": FirstOrder, "second_order": SecondOrder, "single_level": SingleLevel}
BATCH = 8
OPERATORS = ("none", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "dil_conv_5x5")
"""One of each form."""


class NoNorm(nn.Module):
    """A supernet without batch norm, with a parameter that no step uses."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = MixedOp({"3x3": nn.Conv2d(1, 4, 3, padding=1), "5x5": nn.Conv2d(1, 4, 5, padding=2)})
        self.idle = nn.Parameter(torch.ones(3))
        self.head = nn.Linear(4, classes)

    def forward(self, x: Tensor, mixture: Any) -> Tensor:
        return self.head(torch.tanh(self.stem(x, mixture["stem/op"])).mean(dim=(2, 3)))


SPACES = {
    "darts": lambda execution: darts(operators=OPERATORS, num_nodes=2, execution=execution),
    "pc_darts": lambda execution: pc_darts(k=2, operators=OPERATORS, num_nodes=2, execution=execution),
    "recomputed": lambda execution: darts(operators=OPERATORS, num_nodes=1, execution=execution, recompute=True),
    "running statistics": lambda execution: small_space(running=True),
    "no norm": lambda execution: ModuleSpace("no_norm", lambda skeleton: NoNorm(skeleton.num_classes)),
}


@dataclass(frozen=True)
class Case:
    """A search: `steps` an epoch in float64 on batches of 8, measured on 21 images, the last batch smaller."""

    space: str
    execution: str = "batched"
    optimizer: str = "first_order"
    gumbel: bool = False
    sync: bool = True
    budget: bool = False
    steps: int = 2
    epochs: int = 1

    def bilevel(self, ranks: Ranks) -> tuple[SearchSpace, BilevelOptimizer]:
        """The space and its optimizer; the same start on every rank."""
        torch.manual_seed(3)
        space: CellSpace | ModuleSpace = SPACES[self.space](self.execution)
        supernet = space.supernet(Skeleton(channels=4, num_cells=3, num_classes=3, in_channels=1)).double()
        arch = ArchParameters(space.choices, scale=0.3).double()
        weights = torch.optim.SGD(supernet.parameters(), lr=0.1, momentum=0.9, weight_decay=3e-2)
        relaxation: Relaxation = Gumbel() if self.gumbel else Softmax()
        objective = Objective(supernet, ranks=ranks, sync_batch_norm=self.sync)
        optimizer = OPTIMIZERS[self.optimizer]
        budget = squared(space) if self.budget else None
        parts = objective, arch, relaxation, weights, adam(arch.parameters())
        return space, optimizer(*parts, clip_norm=0.5, budget=budget)


class Squared(Budget):
    """s = L^2 + C: a gradient that depends on the loss, so that ranks must have its mean."""

    def shaped(self, loss: Tensor, cost: Tensor) -> Tensor:
        return loss**2 + cost


def squared(space: SearchSpace) -> Squared:
    """Later candidates cost more."""
    costs = [term(range(1, len(choice.candidates) + 1), choice.name) for choice in space.choices]
    return Squared(CostModel("macs", "macs", {choice.name: choice for choice in space.choices}, costs))


def batch(seed: int, count: int) -> Batch:
    """Images (count, 1, 6, 6)."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 1, 6, 6, generator=generator, dtype=torch.float64)
    return images, torch.randint(3, (count,), generator=generator)


def feed(ranks: Ranks, seed: int, steps: int) -> Feed:
    """This rank's rows of batches, and its turns of 21 images in order."""

    def stream() -> Iterator[Batch]:
        rows = ranks.rows(BATCH)
        for number in range(10**6):
            images, labels = batch(seed + number, BATCH)
            yield images[rows], labels[rows]

    def in_order() -> list[Batch]:
        images, labels = batch(seed - 1, 21)
        batches = list(zip(images.split(BATCH), labels.split(BATCH), strict=True))
        return [batches[turn] for turn in ranks.turns(len(batches))]

    return Feed(stream(), steps, in_order)


def run(ranks: Ranks, case: Case) -> dict[str, Any]:
    """All that a search ends with."""
    space, bilevel = case.bilevel(ranks)
    start = [table.clone() for table in bilevel.arch.state_dict().values()]
    feeds = feed(ranks, 1000, case.steps), feed(ranks, 2000, case.steps)
    records = list(search(space, bilevel, *feeds, recipe(case.epochs, rate=0.1)))
    moved = [(a - b).abs().max() for a, b in zip(bilevel.arch.state_dict().values(), start, strict=True)]
    return {
        "alphas": dict(bilevel.arch.state_dict()),
        "weights": dict(bilevel.objective.supernet.state_dict()),
        "losses": [[r.train_loss, r.train_accuracy, r.valid_loss, r.valid_accuracy] for r in records],
        "genotypes": [record.genotype.to_json() for record in records],
        "moved": float(min(moved)),
        "draws": len(bilevel.relaxation.draws) if isinstance(bilevel.relaxation, Gumbel) else 0,
    }


def run_all(ranks: Ranks, cases: list[Case]) -> list[dict[str, Any]]:
    """Several searches, one after the other."""
    return [run(ranks, case) for case in cases]


def calibrated(ranks: Ranks, calibrates: bool = True) -> dict[str, Tensor]:
    """The state of a supernet of bits after rank 0 calibrated it and all share it."""
    torch.manual_seed(ranks.rank)
    arguments = {"depth": 8, "channels": 4}
    space = NetworkSpace(name="bits", backbone="resnet20", backbone_arguments=arguments, input_bits=(2, 4))
    supernet, mixture = space.supernet(Skeleton(in_channels=1)), ArchParameters(space.choices).mixture(Softmax().mean)
    if calibrates and ranks.rank == 0:
        calibrate(supernet, lambda: supernet(torch.rand(4, 1, 8, 8) - 0.2, mixture))
    Objective(supernet, ranks=ranks)
    return dict(supernet.state_dict())
