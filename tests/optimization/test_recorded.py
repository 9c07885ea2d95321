"""Steps that are recorded and replayed are the steps of the plain search."""

import copy
import itertools
import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from nas.architecture import ArchParameters
from nas.optimization import (
    BilevelOptimizer,
    FirstOrder,
    Objective,
    Recorded,
    RecordingError,
    SecondOrder,
    SingleLevel,
    Target,
    search,
)
from nas.optimization.graphs import REAL_STEPS, CudaGraphs, RecordedStep, cause
from nas.optimization.measure import Meter
from nas.optimization.progress import Progress
from nas.optimization.recorded import keep_on_device
from nas.optimization.search import _train
from nas.relaxation import Relaxation, Softmax
from nas.space import SearchSpace
from tests.marks import slow
from tests.optimization.budgets import priced
from tests.optimization.contracts import assert_same_bits
from tests.optimization.tape import NoWaiting, TapedGraphs
from tests.optimization.test_exact_resume import PROCESSES
from tests.optimization.toys import TINY, Gumbel, adam, feed, images, recipe, small_space, tiny_cells


def nesterov(weights: Any) -> torch.optim.SGD:
    return torch.optim.SGD(weights, lr=0.05, momentum=0.9, weight_decay=3e-4, nesterov=True)


RECIPE = recipe(epochs=3, optimizer=nesterov)
STEPS, WARMUP = 5, 1
SPACES = {"module": small_space(running=True), "cells": tiny_cells()}


def rolled_back(*, recorded: bool) -> dict[str, Any]:
    """How a search ends that goes back by a step, when its steps were recorded or not."""
    process: Any = PROCESSES["first order"](0)
    process.recipe, process.warmup_epochs = recipe(4, optimizer=nesterov), 0
    if recorded:
        process.bilevel = Recorded(process.bilevel, TapedGraphs())
    states: list[Any] = []

    def on_step() -> None:
        states.append(copy.deepcopy(process.state_dict()))
        if len(states) == REAL_STEPS + 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(process.epochs(on_step))
    process.roll_back(states[-2])
    list(process.epochs(lambda: None))
    return {**process.bilevel.objective.supernet.state_dict(), **process.bilevel.arch.state_dict()}


def test_recorded_steps_go_on_from_the_state_that_they_go_back_to() -> None:
    assert_close(rolled_back(recorded=True), rolled_back(recorded=False), rtol=1e-4, atol=1e-5)


class Wrapped(Softmax):
    """A softmax of another one's temperature, which only looking into an object can tell."""

    def __init__(self) -> None:
        self.inner = Cooling()

    def sample(self, alphas: Tensor) -> Tensor:
        return self.inner.sample(alphas)

    def anneal(self, progress: float) -> None:
        self.inner.anneal(progress)


class Cooling(Softmax):
    """A softmax whose temperature, a Python number, falls from epoch to epoch."""

    temperature = 1.0

    def sample(self, alphas: Tensor) -> Tensor:
        return super().sample(alphas / self.temperature)

    def anneal(self, progress: float) -> None:
        self.temperature = 1.0 - 0.9 * progress


def plain(
    space: SearchSpace,
    kind: type[BilevelOptimizer] = FirstOrder,
    relaxation: Callable[[], Relaxation] = Gumbel,
    *,
    device: str = "cpu",
    weight_optimizer: Any = RECIPE.optimizer,
    arch_optimizer: Any = adam,
) -> BilevelOptimizer:
    """A bilevel optimizer that always starts the same."""
    torch.manual_seed(0)
    supernet = space.supernet(TINY).to(device)
    arch = ArchParameters(space.choices, scale=0.1).to(device)
    optimizers = weight_optimizer(supernet.parameters()), arch_optimizer(arch.parameters())
    return kind(Objective(supernet), arch, relaxation(), *optimizers, clip_norm=1.0)


def run(space: SearchSpace, bilevel: BilevelOptimizer) -> list[Any]:
    """What a search of three epochs, the first without steps of the alphas, says and leaves."""
    torch.manual_seed(1)
    halves = feed(1, steps=STEPS), feed(2, steps=STEPS)
    records = list(search(space, bilevel, *halves, RECIPE, warmup_epochs=WARMUP))
    numbers = [(r.train_loss, r.train_accuracy, r.valid_loss, r.valid_accuracy, r.alphas) for r in records]
    return [numbers, bilevel.objective.supernet.state_dict()]


KINDS, RELAXATIONS = (FirstOrder, SecondOrder, SingleLevel), (Softmax, Gumbel, Cooling)
ONCE_EACH = [*zip(KINDS, RELAXATIONS, strict=True)]


@pytest.mark.parametrize(
    ("name", "kind", "relaxation"),
    [
        *(
            pytest.param("module", kind, relaxation, marks=[] if (kind, relaxation) in ONCE_EACH else pytest.mark.slow)
            for kind, relaxation in itertools.product(KINDS, RELAXATIONS)
        ),
        *slow(("cells", FirstOrder, Softmax), ("cells", SecondOrder, Gumbel)),
    ],
)
def test_a_search_takes_the_same_steps(name: str, kind: Any, relaxation: Any) -> None:
    """To the last bit those of the same optimizers, and to the rounding of a float32 rate those of plain ones.

    A tape stands in for the graph: it knows nothing of Python and runs what it saw, on the tensors that it saw. Rates
    fall with every epoch, so do temperatures, norms are clipped, noise is drawn and batch norms remember.
    """
    space = SPACES[name]
    floats, tensors, recorded = (plain(space, kind, relaxation) for _ in range(3))
    for optimizer in (tensors.weight_optimizer, tensors.arch_optimizer):
        keep_on_device(optimizer)
    graphs = TapedGraphs()
    found = run(space, Recorded(recorded, graphs))
    assert_same_bits(found, run(space, tensors))
    if name == "module":  # cells of 2 channels on 2x2 images make 1e-3 of a rounding
        assert_close(found, run(space, floats), rtol=1e-3, atol=1e-4)
    assert graphs.real == 2 * REAL_STEPS
    assert graphs.real + graphs.replayed == 3 * STEPS + 2 * STEPS


@pytest.mark.parametrize(("relaxation", "recordings"), [(Softmax, 2), (Cooling, 3 + 2), (Wrapped, 3 + 2)])
def test_steps_are_recorded_once_and_again_when_annealing_has_changed_something(
    relaxation: Any, recordings: int
) -> None:
    """Of the weights: in each of three epochs; of the alphas: in the last two."""
    graphs = TapedGraphs()
    run(SPACES["module"], Recorded(plain(SPACES["module"], relaxation=relaxation), graphs))
    assert graphs.recorded == recordings


@pytest.mark.parametrize("kind", [FirstOrder, SecondOrder, SingleLevel])
@pytest.mark.parametrize("name", SPACES)
def test_no_step_waits_for_the_device(name: str, kind: Any) -> None:
    bilevel, train, valid = plain(SPACES[name], kind), images(1, 8), images(2, 8)
    for optimizer in (bilevel.weight_optimizer, bilevel.arch_optimizer):
        keep_on_device(optimizer)
    with NoWaiting():
        for _ in range(2):
            bilevel.arch_step(train, valid)
            bilevel.weight_step(train)


def test_an_epoch_reads_its_figures_once(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[None] = []
    reads: list[int] = []

    def read(meter: Meter) -> tuple[float, float]:
        reads.append(len(steps))
        return 0.0, 0.0

    monkeypatch.setattr(Meter, "read", read)
    bilevel = plain(SPACES["module"])
    for optimizer in (bilevel.weight_optimizer, bilevel.arch_optimizer):
        keep_on_device(optimizer)
    halves = feed(1, steps=STEPS), feed(2, steps=STEPS)
    with NoWaiting():
        progress = Progress(late=True)
        _train(bilevel, *halves, progress, with_arch=True, skips=False, on_step=lambda: steps.append(None))
    progress.measured()
    assert reads == [STEPS]


def test_waiting_is_seen() -> None:
    for waits in (
        lambda x: x.item(),
        lambda x: float(x.sum()),
        lambda x: bool(x > 0),
        lambda x: x[x > 0],
        torch.nonzero,
        lambda x: torch.equal(x, x.clone()),
    ):
        with pytest.raises(RuntimeError, match="not permitted"), NoWaiting():
            waits(torch.ones(1))


def doubled(x: Tensor) -> tuple[Tensor]:
    return (2 * x,)


def unexpected(error: Exception) -> None:
    raise AssertionError from error


def test_every_call_is_one_step_on_its_own_arguments() -> None:
    graphs, total = TapedGraphs(), torch.zeros(2)

    def added(x: Tensor) -> tuple[Tensor]:
        return (total.add_(x).clone(),)

    step, sums = RecordedStep(added, graphs, unexpected), []
    for number in range(REAL_STEPS + 3):
        sums.append(step(torch.full((2,), float(number)))[0])
    assert [float(x[0]) for x in sums] == [0, 1, 3, 6, 10, 15]
    assert (graphs.real, graphs.recorded, graphs.replayed) == (REAL_STEPS, 1, 3)


def test_arguments_of_another_shape_run_as_they_are() -> None:
    graphs = TapedGraphs()
    step = RecordedStep(doubled, graphs, unexpected)
    for _ in range(REAL_STEPS + 1):
        step(torch.ones(4))
    assert_close(step(torch.full((3,), 5.0)), (torch.full((3,), 10.0),))
    assert_close(step(torch.full((4,), 5.0, dtype=torch.float64)), (torch.full((4,), 10.0, dtype=torch.float64),))
    assert_close(step(torch.full((4,), 7.0)), (torch.full((4,), 14.0),))
    assert (graphs.recorded, graphs.replayed) == (1, 2)


def test_after_forgetting_a_step_is_recorded_again() -> None:
    graphs, factor = TapedGraphs(), 2.0
    step = RecordedStep(lambda x: (factor * x,), graphs, unexpected)
    for _ in range(REAL_STEPS + 2):
        step(torch.ones(1))
    factor = 3.0
    assert float(step(torch.ones(1))[0]) == 2.0, "a number is fixed"
    step.forget()
    assert float(step(torch.ones(1))[0]) == 3.0
    assert graphs.recorded == 2


class Failing(TapedGraphs):
    """Records nothing, as where a step waits for the device; ending such a recording fails too."""

    def record(self, work: Callable[[], tuple[Tensor, ...]]) -> Callable[[], tuple[Tensor, ...]]:
        self.recorded += 1
        try:
            raise RuntimeError("operation not permitted when stream is capturing\nCompile with ...")
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")


def test_what_cannot_be_recorded_runs_as_it_is_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    space = SPACES["module"]
    wanted = plain(space)
    for optimizer in (wanted.weight_optimizer, wanted.arch_optimizer):
        keep_on_device(optimizer)
    graphs = Failing()
    with caplog.at_level(logging.WARNING):
        found = run(space, Recorded(plain(space), graphs))
    assert_same_bits(found, run(space, wanted))
    assert graphs.recorded == 1
    assert [record.getMessage() for record in caplog.records] == [
        "a step cannot be recorded as a CUDA graph, so all run as they are: "
        "operation not permitted when stream is capturing"
    ]


def test_the_cause_of_an_error_is_the_first_one() -> None:
    with pytest.raises(RuntimeError) as second:
        Failing().record(lambda: ())
    assert cause(second.value) == "operation not permitted when stream is capturing"


def test_a_budget_is_refused_and_left_alone() -> None:
    bilevel = plain(SPACES["module"])
    bilevel.budget = Target(priced({"one/op": [1.0, 2.0]}), 1.5)
    rates = [o.param_groups[0]["lr"] for o in (bilevel.weight_optimizer, bilevel.arch_optimizer)]
    with pytest.raises(RecordingError, match="it has a budget, and what that computes is not recorded"):
        Recorded(bilevel, TapedGraphs())
    assert [o.param_groups[0]["lr"] for o in (bilevel.weight_optimizer, bilevel.arch_optimizer)] == rates


@pytest.mark.parametrize("which", ["weight", "arch"])
def test_other_optimizers_are_refused_and_left_alone(which: str) -> None:
    bilevel = plain(SPACES["module"], **{f"{which}_optimizer": lambda p: torch.optim.RMSprop(p, lr=0.01)})
    groups = [o.param_groups[0] for o in (bilevel.weight_optimizer, bilevel.arch_optimizer)]
    before = [{key: copy.copy(value) for key, value in group.items() if key != "params"} for group in groups]
    with pytest.raises(RecordingError, match="RMSprop, not one of SGD, Adam, AdamW"):
        Recorded(bilevel, TapedGraphs())
    assert [{key: value for key, value in group.items() if key != "params"} for group in groups] == before


@pytest.mark.parametrize(
    "make",
    [
        lambda p, **more: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=3e-2, **more),
        lambda p, **more: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, **more),
        lambda p, **more: torch.optim.Adam(p, lr=0.1, betas=(0.5, 0.999), weight_decay=1e-3, **more),
        lambda p, **more: torch.optim.AdamW(p, lr=0.1, **more),
    ],
    ids=["SGD", "Nesterov", "Adam", "AdamW"],
)
def test_optimizers_on_the_device_take_the_same_steps(make: Any) -> None:
    ways = []
    for on_device in (False, True):
        torch.manual_seed(0)
        weights = [nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(5))]
        optimizer = make(weights)
        if on_device:
            keep_on_device(optimizer)
        for _ in range(4):
            for weight in weights:
                weight.grad = torch.randn_like(weight)
            optimizer.step()
        ways.append([weight.detach() for weight in weights])
    assert_close(ways[1], ways[0], rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", [FirstOrder, SecondOrder])
@pytest.mark.parametrize("name", SPACES)
def test_on_a_gpu(name: str, kind: Any) -> None:
    """The same search as without graphs, batches and all; nothing random, whose draws differ between both."""
    space, device = SPACES[name], torch.device("cuda")
    ways = []
    for record in (False, True):
        bilevel = plain(space, kind, Softmax, device="cuda")
        for optimizer in (bilevel.weight_optimizer, bilevel.arch_optimizer):
            keep_on_device(optimizer)
        if record:
            bilevel = Recorded(bilevel, CudaGraphs(device))
        train, valid = (tuple(x.to(device) for x in images(seed, 8)) for seed in (1, 2))
        for _ in range(REAL_STEPS + 4):
            bilevel.arch_step(train, valid)
            loss, _ = bilevel.weight_step(train)
        ways.append([loss, bilevel.objective.supernet.state_dict(), dict(bilevel.arch.named())])
    assert_close(ways[1], ways[0], rtol=1e-2, atol=1e-3)
