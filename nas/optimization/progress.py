"""Where a training stands between two steps."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nas.optimization.measure import Meter
from nas.parallel import ALONE, Ranks


class Progress:
    """The epoch and the step of it that come next, from 0, and what the steps of that epoch have measured so far."""

    def __init__(self, ranks: Ranks = ALONE) -> None:
        self.epoch = 0
        self.step = 0
        self.meter = Meter(ranks)

    def measured(self) -> tuple[float, float]:
        """(mean loss, accuracy) of the epoch's steps."""
        return self.meter.read()

    def end_epoch(self) -> None:
        """The next epoch comes next."""
        self.epoch, self.step = self.epoch + 1, 0
        self.meter.clear()

    def state_dict(self) -> dict[str, Any]:
        """Plain data: the position, and the sums of this rank."""
        return {"epoch": self.epoch, "step": self.step, "meter": self.meter.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes to where `state_dict` was taken."""
        self.epoch, self.step = state["epoch"], state["step"]
        self.meter.load_state_dict(state["meter"])


def random_states(device: torch.device) -> dict[str, Tensor]:
    """The states of torch's global generators: that of the CPU, and that of the device where it has one."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Sets what `random_states` gave; a device of another kind keeps its own."""
    torch.set_rng_state(states["cpu"].cpu())
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"].cpu(), device)
