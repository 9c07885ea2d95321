"""Steps that change nothing where a loss or a gradient is not finite."""

import copy
import logging
import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from nas.optimization.bilevel import BilevelOptimizer
from nas.optimization.finite import largest
from nas.optimization.objective import Batch
from nas.parallel import ALONE, Ranks

log = logging.getLogger(__name__)

Measured = tuple[Tensor, Tensor]
"""(loss, logits) of a step, detached."""

WHOLE = ("arch_step", "weight_step")
"""Steps of a bilevel optimizer, which skipping makes from their parts."""


class _NotFiniteError(Exception):
    """Ends a step before it has moved what cannot be set back."""


def skipping_bilevel_step(
    bilevel: BilevelOptimizer, train_batch: Batch, valid_batch: Batch | None, where: str
) -> Measured | None:
    """A step of the alphas, where there is a `valid_batch`, then one of the weights; None where it is skipped.

    It is skipped on all ranks together, and as a whole: alphas, weights, buffers, the state of both optimizers and the
    budget are as before. Random states have moved on. One line of the log tells of it, with the words `where` it was.
    """
    arch, objective, budget = bilevel.arch, bilevel.objective, bilevel.budget
    undo = _remembered([*arch.parameters(), *objective.supernet.buffers()], bilevel.arch_optimizer)
    learnt = {} if budget is None else {name: value.clone() for name, value in budget.state_dict().items()}
    try:
        if valid_batch is not None:
            bilevel.arch_optimizer.zero_grad()
            bilevel.set_alpha_gradients(train_batch, valid_batch)
            _require(objective.ranks, "gradient of the alphas", _gradient(arch.parameters()))
            bilevel.arch_optimizer.step()
        measured = bilevel.set_weight_gradients(train_batch)
        _require_trainable(objective.ranks, measured[0], objective.supernet.parameters())
    except _NotFiniteError as reason:
        undo()
        if budget is not None:
            budget.load_state_dict(learnt)
        if objective.ranks.rank == 0:
            log.warning("%s is skipped: %s", where, reason)
        return None
    bilevel.move_weights()
    return measured


def require_skippable(bilevel: BilevelOptimizer) -> None:
    """A ValueError for a bilevel optimizer whose steps are its own: they can't be left in the middle."""
    kind = type(bilevel)
    own = [name for name in WHOLE if getattr(kind, name) is not getattr(BilevelOptimizer, name)]
    if own:
        raise ValueError(
            f"trainer.on_nan=skip looks into the steps of a bilevel optimizer, and {kind.__name__} has its own "
            f"{' and '.join(own)}: give trainer.on_nan=rollback, or write set_alpha_gradients, set_weight_gradients or "
            "move_weights instead"
        )


def skipping_step(
    gradients: Callable[[], Measured],
    move: Callable[[], None],
    weights: Iterable[Parameter],
    buffers: Iterable[Tensor],
    where: str,
) -> Measured | None:
    """A step of a discrete network: `gradients` sets those of the weights, `move` follows them; None where skipped."""
    undo = _remembered(buffers)
    try:
        measured = gradients()
        _require_trainable(ALONE, measured[0], weights)
    except _NotFiniteError as reason:
        undo()
        log.warning("%s is skipped: %s", where, reason)
        return None
    move()
    return measured


def _remembered(tensors: Iterable[Tensor], *optimizers: Optimizer) -> Callable[[], None]:
    """Sets tensors and optimizers back to what they are now."""
    kept = [(tensor, tensor.detach().clone()) for tensor in tensors]
    states = [(optimizer, copy.deepcopy(optimizer.state_dict())) for optimizer in optimizers]

    @torch.no_grad()
    def undo() -> None:
        for tensor, before in kept:
            tensor.copy_(before)
        for optimizer, state in states:
            optimizer.load_state_dict(state)

    return undo


def _require_trainable(ranks: Ranks, loss: Tensor, weights: Iterable[Parameter]) -> None:
    _require(ranks, "training loss", loss)
    _require(ranks, "gradient of the weights", _gradient(weights))


def _gradient(parameters: Iterable[Parameter]) -> Tensor:
    return largest(parameter.grad for parameter in parameters if parameter.grad is not None)


def _require(ranks: Ranks, name: str, value: Tensor) -> None:
    """Waits for the device; the ranks agree, and the value that is told is that of the first one that is not finite."""
    own = value.item()
    if ranks.total(torch.tensor([float(not math.isfinite(own))])).item():
        worst = next(one for one in ranks.gathered(own) if not math.isfinite(one))
        raise _NotFiniteError(f"the {name} is {worst}")
