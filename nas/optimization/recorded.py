"""A bilevel optimizer whose steps are replayed from CUDA graphs."""

import logging
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from nas.optimization.bilevel import BilevelOptimizer
from nas.optimization.graphs import Graphs, RecordedStep, Results, cause
from nas.optimization.objective import Batch
from nas.relaxation import Relaxation

log = logging.getLogger(__name__)

RECORDABLE = (SGD, Adam, AdamW)
"""Optimizers that can keep all they change on the device."""


class RecordingError(ValueError):
    """The steps of a search cannot be recorded; the message says why."""


class Recorded(BilevelOptimizer):
    """Another bilevel optimizer with its weight steps and its architecture steps recorded, each as one graph.

    Learning rates are tensors, which a schedule fills. A relaxation that annealing changes is recorded again. If one of
    both steps cannot be recorded, both run as they are, with one line in the log.

    Raises:
        RecordingError: an optimizer other than SGD, Adam and AdamW, or a budget.
    """

    def __init__(self, plain: BilevelOptimizer, graphs: Graphs) -> None:
        if plain.budget is not None:
            raise RecordingError("it has a budget, and what that computes is not recorded")
        optimizers = {"weight": plain.weight_optimizer, "alpha": plain.arch_optimizer}
        for name, optimizer in optimizers.items():
            if type(optimizer) not in RECORDABLE:
                known = ", ".join(kind.__name__ for kind in RECORDABLE)
                raise RecordingError(f"the {name} optimizer is {type(optimizer).__name__}, not one of {known}")
        for optimizer in optimizers.values():
            keep_on_device(optimizer)
        relaxation = _Watched(plain.relaxation, self._forget)
        super().__init__(plain.objective, plain.arch, relaxation, *optimizers.values(), clip_norm=plain.clip_norm)
        self.plain = plain
        self._arch_step = RecordedStep(self._arch_step_of, graphs, self._give_up)
        self._weight_step = RecordedStep(lambda *batch: plain.weight_step(batch), graphs, self._give_up)

    def unrecorded(self) -> BilevelOptimizer:
        self._forget()
        return self.plain

    def taken_up(self) -> None:
        for optimizer in (self.weight_optimizer, self.arch_optimizer):
            keep_on_device(optimizer)
        self._forget()

    def set_alpha_gradients(self, train_batch: Batch, valid_batch: Batch) -> None:
        self.plain.set_alpha_gradients(train_batch, valid_batch)

    def arch_step(self, train_batch: Batch, valid_batch: Batch) -> None:
        self._arch_step(*train_batch, *valid_batch)

    def weight_step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        loss, logits = self._weight_step(*batch)
        return loss, logits

    def _arch_step_of(self, *tensors: Tensor) -> Results:
        train_images, train_labels, valid_images, valid_labels = tensors
        self.plain.arch_step((train_images, train_labels), (valid_images, valid_labels))
        return ()

    def _forget(self) -> None:
        for step in (self._arch_step, self._weight_step):
            step.forget()

    def _give_up(self, error: Exception) -> None:
        for step in (self._arch_step, self._weight_step):
            step.given_up = True
        self._forget()
        log.warning("a step cannot be recorded as a CUDA graph, so all run as they are: %s", cause(error))


class _Watched(Relaxation):
    """A relaxation that tells when annealing has changed it."""

    def __init__(self, plain: Relaxation, on_change: Callable[[], None]) -> None:
        self.plain = plain
        self.on_change = on_change

    def sample(self, alphas: Tensor) -> Tensor:
        return self.plain.sample(alphas)

    def mean(self, alphas: Tensor) -> Tensor:
        return self.plain.mean(alphas)

    def anneal(self, progress: float) -> None:
        before = dict(vars(self.plain))
        self.plain.anneal(progress)
        if not _surely_equal(before, vars(self.plain)):
            self.on_change()


def keep_on_device(optimizer: Optimizer) -> None:
    """Makes SGD, Adam or AdamW, before the next step, read and keep on the device all that changes from step to step.

    The same steps to rounding: learning rates become float32.
    """
    for group in optimizer.param_groups:
        rate = float(group["lr"])
        group.setdefault("initial_lr", rate)
        group["lr"] = torch.tensor(rate, dtype=torch.float32, device=group["params"][0].device)
        group["fused"], group["foreach"] = True, False  # only fused kernels read a rate without waiting for it
        if "capturable" in group:
            group["capturable"] = True


def _surely_equal(before: Mapping[str, object], after: Mapping[str, object]) -> bool:
    """Whether attributes are plain values and the same as before; what other objects hold may have changed."""
    plain = all(isinstance(value, int | float | str | None) for value in after.values())
    return plain and before == after
