"""The largest batch that fits, by steps that run out of memory above a number of rows."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.optimization import RandomSearch, largest_batch, out_of_memory
from nas.optimization.recorded import Recorded
from nas.parallel import Ranks
from tests.optimization.tape import TapedGraphs
from tests.optimization.test_exact_resume import PROCESSES, training
from tests.optimization.toys import CPU, TINY, feed, recipe, tiny_cells
from tests.parallel.processes import on_ranks
from tests.parallel.searches import Case
from tests.parallel.searches import feed as shared_feed


@pytest.mark.parametrize("below", [3, 32, 33])
def test_it_is_the_largest(below: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.optimization.memory._free", lambda: None)  # a collection of garbage takes a while
    for limit in range(40):
        tried: list[int] = []

        def step(rows: int, limit: int = limit, tried: list[int] = tried) -> None:
            tried.append(rows)
            if rows > limit:
                raise torch.OutOfMemoryError

        assert largest_batch(step, below) == (min(limit, below - 1) if limit >= 2 else None)
        assert len(tried) <= 6
        assert max(tried) < below


@pytest.mark.parametrize("below", [1, 2])
def test_nothing_is_smaller_than_the_least(below: int) -> None:
    assert largest_batch(lambda rows: None, below) is None


def test_another_error_passes() -> None:
    def step(rows: int) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        largest_batch(step, 9)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    ],
    ids=["torch", "cublas", "cudnn", "cuda"],
)
def test_memory_runs_out_in_the_words_of_several_libraries(error: RuntimeError) -> None:
    assert out_of_memory(error)
    assert not out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))
    assert not out_of_memory(ValueError(str(error)))

    def step(rows: int) -> None:
        if rows > 5:
            raise error

    assert largest_batch(step, 9) == 5


def limited(module: nn.Module, rows: int, tried: list[int] | None = None) -> None:
    """Makes a module run out of memory, in the backward pass, above a number of rows."""

    def refuse(logits: Tensor) -> Tensor:
        if tried is not None:
            tried.append(len(logits))
        if len(logits) > rows and logits.requires_grad:
            logits.register_hook(lambda gradient: refuse_gradient())
        return logits

    def refuse_gradient() -> None:
        raise torch.OutOfMemoryError

    module.register_forward_hook(lambda module, inputs, logits: refuse(logits))


@pytest.mark.parametrize("name", ["second order, random", "drawn", "running statistics", "budget"])
def test_a_search_that_broke_off_measures_steps_of_alphas_and_weights(name: str) -> None:
    process: Any = PROCESSES[name](0)
    tried: list[int] = []
    limited(process.bilevel.objective.supernet, 5, tried)
    alphas = [value.clone() for value in process.bilevel.arch.parameters()]
    with pytest.raises(torch.OutOfMemoryError):
        list(process.epochs(lambda: None))
    assert largest_batch(process.try_step, 8) == 5
    assert 8 in tried
    assert any(not torch.equal(a, b) for a, b in zip(alphas, process.bilevel.arch.parameters(), strict=True))


def test_recorded_steps_are_measured_as_they_are() -> None:
    process: Any = PROCESSES["first order"](0)
    process.bilevel = Recorded(process.bilevel, TapedGraphs())
    limited(process.bilevel.objective.supernet, 3)
    assert largest_batch(process.try_step, 8) == 3
    assert process.bilevel is process.bilevel.unrecorded()


def test_networks_are_measured() -> None:
    whole: Any = training(0)
    plain = whole.loss

    def loss(logits: tuple[Tensor, ...], labels: Tensor) -> tuple[Tensor, Tensor]:
        if len(labels) > 6:
            raise torch.OutOfMemoryError
        return plain(logits, labels)

    whole.loss = loss
    with pytest.raises(torch.OutOfMemoryError):
        list(whole.epochs(lambda: None))
    assert largest_batch(whole.try_step, 8) == 6
    torch.manual_seed(0)
    method = RandomSearch(name="random", epochs_per_candidate=2)
    process: Any = method.start(tiny_cells(), TINY, feed(1), feed(2), recipe(3), CPU)
    process.try_step(4)
    process._training.loss = loss
    assert largest_batch(process.try_step, 8) == 6


def measured_apart(ranks: Ranks, optimizer: str) -> int | None:
    """What a rank finds without the others, after its memory ran out in the middle of a backward pass."""
    _, bilevel = Case("running statistics", optimizer=optimizer).bilevel(ranks)
    supernet = bilevel.objective.supernet
    batch, valid = (next(shared_feed(ranks, seed, 1).stream) for seed in (1, 2))
    limited(supernet, 2 + ranks.rank)
    with pytest.raises(torch.OutOfMemoryError):
        bilevel.weight_step(batch)
    bilevel.objective.leave()

    def step(rows: int) -> None:
        bilevel.arch_step((batch[0][:rows], batch[1][:rows]), (valid[0][:rows], valid[1][:rows]))
        bilevel.weight_step((batch[0][:rows], batch[1][:rows]))

    return largest_batch(step, 4)


@pytest.mark.slow
def test_ranks_measure_apart() -> None:
    assert on_ranks(measured_apart, "second_order") == [2, 3]
