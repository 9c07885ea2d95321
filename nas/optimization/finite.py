"""Training that meets NaN or infinity: seen without a wait on a GPU, at the step itself on the CPU."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from nas.optimization.measure import NonFiniteLossError
from nas.parallel import ALONE, Ranks

SEEN = ("alphas", "training loss")
"""What is watched in every step, in the order in which a step makes it."""


def largest(tensors: Iterable[Tensor]) -> Tensor:
    """The largest magnitude in some tensors of one device, 0-dim float64: NaN where there is a NaN, 0 for none."""
    norms = torch._foreach_norm([tensor.detach() for tensor in tensors if tensor.numel()] or [torch.zeros(1)], math.inf)
    return torch.stack(norms).max().double()


class Watch:
    """Finds the first step whose loss, or whose alphas after it, are not finite, on whichever rank.

    With `late` a step leaves its number on the device, and nothing is read before `require_finite`.
    """

    def __init__(self, ranks: Ranks = ALONE, *, late: bool = False) -> None:
        self.late = late
        self._ranks = ranks
        self._steps: Tensor | None = None
        self._values: Tensor | None = None

    def see(self, epoch: int, step: int, loss: Tensor, alphas: Iterable[Tensor] = ()) -> None:
        """A step was made, the `step`-th of its epoch from 1. All ranks see it, with alphas or without.

        Raises:
            NonFiniteLossError: it is the first that is not finite; not with `late`.
        """
        alphas = list(alphas)
        of_alphas = largest(alphas) if alphas else torch.zeros_like(loss, dtype=torch.float64)
        values = torch.stack([of_alphas, loss.detach().double()])
        if self._steps is None or self._values is None:
            self._steps, self._values = torch.zeros_like(values), torch.zeros_like(values)
        first = ~values.isfinite() & (self._steps == 0)
        self._steps, self._values = self._steps.masked_fill(first, step), torch.where(first, values, self._values)
        if not self.late:
            self.require_finite(epoch)

    def require_finite(self, epoch: int) -> None:
        """Reads what was seen in an epoch; waits for the device.

        Raises:
            NonFiniteLossError: a step was not finite; the same on all ranks, with the first such step of all.
        """
        steps = [0.0] * len(SEEN) if self._steps is None else self._steps.tolist()
        if not self._ranks.total(torch.tensor([sum(steps)])).item():
            return
        values = [0.0] * len(SEEN) if self._values is None else self._values.tolist()
        own = [(int(step), kind, values[kind]) for kind, step in enumerate(steps) if step]
        step, kind, value = min(found for rank in self._ranks.gathered(own) for found in rank)
        raise NonFiniteLossError(SEEN[kind], value, epoch, step)

    def clear(self) -> None:
        """Forgets all steps."""
        self._steps = self._values = None
