"""Supernets as programs of torch.compile, all of them compiled before the search starts."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nas.optimization.bilevel import BilevelOptimizer
from nas.optimization.measure import evaluate
from nas.optimization.objective import Batch


class CompilationError(RuntimeError):
    """Parts of a supernet could not be compiled; they run as they are. The message is the compiler's first line."""


def compile_parts(parts: Sequence[nn.Module], *, backend: str = "inductor") -> None:
    """Makes each part a program, or several: one for each shape of its input and each set of gradients asked for.

    They are compiled when they first run. Parts of one class and one shape share theirs.
    """
    # beyond torch's own limit, 8, further programs would run as they are and nothing would tell
    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = 10_000
    for part in parts:
        part.compile(dynamic=False, backend=backend)


def compile_search(
    bilevel: BilevelOptimizer, parts: Sequence[nn.Module], train: Batch, valid: Batch, *, backend: str = "inductor"
) -> float:
    """Compiles parts of the supernet for all that a search runs: both steps, and the measuring of its mean mixture.

    Each is run once on batches of the search's shapes, without moving weights or alphas; buffers, gradients and random
    numbers are as before. Returns the seconds that it took.

    Raises:
        CompilationError: it failed; the parts are as they were.
    """
    start = time.perf_counter()
    try:
        compile_parts(parts, backend=backend)
        with _no_trace(bilevel.objective.supernet, train[0].device):
            _run(bilevel, train, valid)
    except Exception as error:
        for part in parts:
            part._compiled_call_impl = None  # torch has no public way back
        raise CompilationError(first_line(error)) from error
    return time.perf_counter() - start


def first_line(error: BaseException) -> str:
    """The first line of an error that says something, with those after it while they end in a colon, or its class."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    end = next((number for number, line in enumerate(lines) if not line.endswith(":")), len(lines))
    return " ".join(lines[: end + 1])


def _run(bilevel: BilevelOptimizer, train: Batch, valid: Batch) -> None:
    """What every epoch computes, with the same modes and the same tensors asking for gradients."""
    objective = bilevel.objective
    bilevel.relaxation.anneal(0.0)  # as the first epoch does
    objective.supernet.train()
    budget, bilevel.budget = bilevel.budget, None  # which learns from every step
    try:
        bilevel.set_alpha_gradients(train, valid)
    finally:
        bilevel.budget = budget
        bilevel.arch_optimizer.zero_grad()
    constant = bilevel.mean_mixture()
    loss, _ = objective(train, constant)
    weights = [weight for weight in objective.supernet.parameters() if weight.requires_grad]
    torch.autograd.grad(loss, weights, allow_unused=True)
    objective.supernet.eval()

    def predict(images: Tensor) -> Tensor:
        return objective.supernet(images, constant)

    evaluate(predict, [valid], objective.criterion, autocast=objective.autocast)


@contextmanager
def _no_trace(supernet: nn.Module, device: torch.device) -> Iterator[None]:
    buffers = {buffer: buffer.clone() for buffer in supernet.buffers()}
    modes = {module: module.training for module in supernet.modules()}
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        for buffer, before in buffers.items():
            buffer.copy_(before)
        for module, training in modes.items():
            module.training = training
