"""A search whose supernet is compiled: the same search, every program made before it starts."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from nas.architecture import ArchParameters
from nas.optimization import (
    BilevelOptimizer,
    CompilationError,
    FirstOrder,
    Objective,
    SecondOrder,
    compile_search,
    search,
)
from nas.space import SearchSpace, Skeleton
from search_spaces.cells import CellSpace
from tests.marks import slow
from tests.optimization.contracts import assert_same_bits
from tests.optimization.toys import Gumbel, adam, feed, recipe, small_space, tiny_cells

# warnings of torch's own tracing, which users never see but of which pytest makes errors
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
SEVEN_CELLS = Skeleton(channels=2, num_cells=7, num_classes=3, in_channels=1)
"""Two normal cells, a reduction, a normal cell, a reduction, two normal cells."""
ONE_CELL = Skeleton(channels=2, num_cells=1, num_classes=3, in_channels=1)
RECIPE = recipe(epochs=2)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """No program of another test counts."""
    torch.compiler.reset()
    counters.clear()
    yield
    torch.compiler.reset()


def graphs() -> int:
    """How many graphs were compiled; a part with a graph break counts as several."""
    return counters["stats"]["unique_graphs"]


class Trial:
    """A search that always starts the same, on images of its own."""

    def __init__(self, space: SearchSpace, skeleton: Skeleton, kind: type[BilevelOptimizer] = FirstOrder) -> None:
        torch.manual_seed(0)
        supernet, arch = space.supernet(skeleton), ArchParameters(space.choices, scale=0.1)
        optimizers = RECIPE.optimizer(supernet.parameters()), adam(arch.parameters())
        self.space = space
        self.bilevel = kind(Objective(supernet), arch, Gumbel(), *optimizers, clip_norm=5.0)
        self.train, self.valid = feed(1), feed(2)

    def compile(self, backend: Any) -> float:
        parts = self.space.compiled_parts(self.bilevel.objective.supernet)
        batches = [next(iter(half.in_order())) for half in (self.train, self.valid)]
        return compile_search(self.bilevel, parts, batches[0], batches[1], backend=backend)

    def run(self) -> list[Any]:
        """The numbers of all records but their seconds, and the weights and buffers at the end."""
        records = search(self.space, self.bilevel, self.train, self.valid, RECIPE)
        told = [(r.train_loss, r.train_accuracy, r.valid_loss, r.valid_accuracy, r.alphas) for r in records]
        return [told, self.bilevel.objective.supernet.state_dict()]


SPACES = {
    "module": small_space(running=True),
    "cells": tiny_cells(num_nodes=2),
    "recomputed": CellSpace(name="tiny", operators=("none", "skip_connect"), num_nodes=2, recompute=True),
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("module", FirstOrder),
        *slow(("module", SecondOrder), ("cells", FirstOrder), ("cells", SecondOrder)),
        ("recomputed", FirstOrder),
    ],
)
def test_the_search_is_the_same_and_compiles_nothing_more(name: str, kind: type[BilevelOptimizer]) -> None:
    """Its backend runs every graph as PyTorch does, so that a trace of compiling shows in the last bit; cells, whose
    gradients are written down differently to be compiled, to rounding.

    The relaxation is random, the module counts batches, and the last batch that is measured is a smaller one.
    """
    wanted = Trial(SPACES[name], ONE_CELL, kind).run()
    trial = Trial(SPACES[name], ONE_CELL, kind)
    assert trial.compile("eager") > 0
    made = graphs()
    assert made > 0
    (assert_same_bits if name == "module" else assert_near)(trial.run(), wanted)
    assert graphs() == made


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "programs"),
    [(FirstOrder, 5 + 6 + 5), (SecondOrder, 5 + 5 + 6 + 5)],
)
def test_cells_of_one_kind_and_width_share_their_programs(kind: type[BilevelOptimizer], programs: int) -> None:
    """Normal, reduction, normal, reduction, normal; each for the weights, the alphas and measuring, in the second order
    also for both; more than the 8 that torch makes by itself. The alphas need no gradient of the first cell's input."""
    space = CellSpace(name="tiny", operators=("dil_conv_3x3",), num_nodes=1)
    Trial(space, SEVEN_CELLS, kind).compile("eager")
    assert graphs() == programs


def test_edge_by_edge_a_cell_is_a_program() -> None:
    space = CellSpace(name="tiny", operators=("none", "skip_connect"), num_nodes=1, execution="edge_by_edge")
    wanted = Trial(space, ONE_CELL).run()
    trial = Trial(space, ONE_CELL)
    trial.compile("eager")
    assert graphs() == 3
    assert_same_bits(trial.run(), wanted)
    assert graphs() == 3


@pytest.mark.parametrize("name", SPACES)
def test_what_cannot_be_compiled_runs_as_it_is(name: str) -> None:
    def broken(*_: object) -> Callable[..., object]:
        raise RuntimeError("there is no compiler\nand no more to say")

    wanted = Trial(SPACES[name], ONE_CELL).run()
    trial = Trial(SPACES[name], ONE_CELL)
    with pytest.raises(CompilationError, match=r"there is no compiler$"):
        trial.compile(broken)
    assert_same_bits(trial.run(), wanted)
    assert graphs() == 0


@pytest.mark.slow
def test_a_compiled_module_takes_the_same_steps() -> None:
    """By the real compiler, to the rounding of float32."""
    wanted = Trial(SPACES["module"], ONE_CELL).run()
    trial = Trial(SPACES["module"], ONE_CELL)
    trial.compile("inductor")
    assert_near(trial.run(), wanted)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [FirstOrder, SecondOrder])
def test_compiled_cells_take_the_same_steps(kind: type[BilevelOptimizer]) -> None:
    wanted = Trial(tiny_cells(), ONE_CELL, kind).run()
    trial = Trial(tiny_cells(), ONE_CELL, kind)
    trial.compile("inductor")
    assert_near(trial.run(), wanted)


def assert_near(found: object, wanted: object) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)
