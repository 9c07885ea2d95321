"""Where a training stands between two steps."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from nas.optimization.finite import Watch, largest
from nas.optimization.measure import Meter, NonFiniteLossError
from nas.parallel import ALONE, Ranks
from nas.reading import require_count, require_form, require_keys


class Progress:
    """The epoch and the step of it that come next, from 0, and what the steps of that epoch have measured so far.

    With `late`, which a GPU is for, no step waits to see whether it was finite.
    """

    def __init__(self, ranks: Ranks = ALONE, *, late: bool = False) -> None:
        self.epoch = 0
        self.step = 0
        self.meter = Meter(ranks)
        self.watch = Watch(ranks, late=late)

    def add(self, measured: tuple[Tensor, Tensor] | None, labels: Tensor, alphas: Iterable[Tensor] = ()) -> None:
        """A step was made: what it measured (loss, logits), or None where it was skipped, and the alphas it moved.

        Raises:
            NonFiniteLossError: a loss or alphas that are not finite; not with `late`.
        """
        self.step += 1
        if measured is not None:
            self.meter.add(*measured, labels)
            self.watch.see(self.epoch, self.step, measured[0], alphas)

    def require_finite(self, weights: Iterable[Tensor], alphas: Iterable[Tensor] = ()) -> None:
        """Waits for the device; after it the state may be kept.

        Raises:
            NonFiniteLossError: a step of this epoch, or what it left of weights or alphas, is not finite.
        """
        self.watch.require_finite(self.epoch)
        for name, tensors in (("alphas", alphas), ("weights", weights)):
            if not math.isfinite(value := largest(tensors).item()):
                raise NonFiniteLossError(name, value, self.epoch, self.step)

    def measured(self) -> tuple[float, float]:
        """(mean loss, accuracy) of the epoch's steps.

        Raises:
            NonFiniteLossError: all of them were skipped.
        """
        if self.meter.empty:
            raise NonFiniteLossError("loss or gradient of every step", math.nan, self.epoch)
        return self.meter.read()

    def end_epoch(self) -> None:
        """The next epoch comes next."""
        self.epoch, self.step = self.epoch + 1, 0
        self.meter.clear()
        self.watch.clear()

    def state_dict(self) -> dict[str, Any]:
        """Plain data: the position, and the sums of this rank."""
        return {"epoch": self.epoch, "step": self.step, "meter": self.meter.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes to where `state_dict` was taken; a ValueError for another form."""
        require_keys(state, self.state_dict(), "progress")
        for name in ("epoch", "step"):
            require_count(state[name], f"progress[{name!r}]")
        self.epoch, self.step = state["epoch"], state["step"]
        self.meter.load_state_dict(state["meter"])
        self.watch.clear()

    @property
    def next_step(self) -> str:
        """The step that comes next, in words."""
        return f"epoch {self.epoch}, step {self.step + 1}"


def random_states(device: torch.device) -> dict[str, Tensor]:
    """The states of torch's global generators: that of the CPU, and that of the device where it has one."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Sets what `random_states` gave; a device of another kind keeps its own. A ValueError for another form."""
    require_form({"cpu": states["cpu"]}, {"cpu": torch.get_rng_state()}, "random")
    torch.set_rng_state(states["cpu"].cpu())
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"].cpu(), device)
