"""A copy of an optimizer that makes steps of its own, for what they leave and not for where they lead."""

import collections
import copy
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

KERNELS = ("foreach", "fused", "capturable")
"""Settings that say how a step is computed, not what: recorded steps change them."""
RATES = ("lr", "initial_lr")
"""Settings that a schedule changes."""
DEVICES = ("meta", "cpu")
"""Where a copy makes a step: it takes no memory, or can read its parameters."""


def stepped(optimizer: Optimizer) -> Optimizer | None:
    """A copy that has made one step from no state, on the first of DEVICES where it can."""
    for device in DEVICES:
        with suppress(Exception):  # of an optimizer of anybody
            _step(made := _twin(optimizer, device))
            return made
    return None


def try_step(optimizer: Optimizer, state: Mapping[str, Any], device: torch.device) -> None:
    """A step of a copy from a state of the right form; whatever an optimizer raises where it can make none."""
    twin = _twin(optimizer, device)
    parameters = [parameter for group in twin.param_groups for parameter in group["params"]]
    for index, found in state["state"].items():
        twin.state[parameters[index]] = {key: _copied(value, device) for key, value in found.items()}
    for group, found in zip(twin.param_groups, state["param_groups"], strict=True):
        group.update({key: copy.deepcopy(found[key]) for key in found if key not in ("params", *KERNELS, *RATES)})
    _step(twin)


def _twin(optimizer: Optimizer, device: torch.device | str) -> Optimizer:
    """A copy without state, of parameters that are zeros on another device, that computes in the plainest way."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    known: dict[int, Any] = {id(one): Parameter(torch.zeros_like(one, device=device)) for one in parameters}
    known[id(optimizer.state)] = collections.defaultdict(dict)
    twin = copy.deepcopy(optimizer, known)
    for group in twin.param_groups:
        group.update({key: False for key in KERNELS if key in group})
        group["lr"] = float(group["lr"])
    return twin


def _step(twin: Optimizer) -> None:
    for group in twin.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    twin.step()


def _copied(value: Any, device: torch.device) -> Any:
    """On the device; a single number stays, which a step may compute with outside of tensors."""
    return value.to(device, copy=True) if isinstance(value, Tensor) and value.dim() else copy.deepcopy(value)
