"""States of modules and optimizers, held against what is to take them."""

import inspect
import logging
import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from nas.optimization.twin import KERNELS, RATES, stepped, try_step
from nas.reading import require_form, require_keys, shown

log = logging.getLogger(__name__)

COUNT = "step"
"""The name under which optimizers of torch count their steps."""


def load_optimizer(optimizer: Optimizer, state: Any, name: str) -> None:
    """Loads what `optimizer.state_dict()` gave, whoever has written it.

    What an optimizer keeps is known from one step of a copy whose parameters are on the meta device, where they take no
    memory, or are zeros for an optimizer that reads its parameters. The state must have the names, types, shapes and
    dtypes that this step made, for parameters that had a gradient; its settings are those of the optimizer, rates
    apart; single numbers are finite where those of the step are; and from the state itself such a copy must be able to
    make a step.

    An optimizer that cannot make a step so is told of in the log, and takes its state as torch does.

    Raises:
        ValueError: a state that does not fit, with the place in it.
    """
    if (made := stepped(optimizer)) is None:
        kind = type(optimizer).__name__
        log.warning("%s is not compared with what %s keeps, because a copy of that makes no step", name, kind)
    else:
        _require_fit(state, optimizer, made, name)
    optimizer.load_state_dict(state)


def load_module(module: nn.Module, state: Any, name: str) -> None:
    """Loads what `module.state_dict()` gave, whoever has written it; a ValueError for another form."""
    require_form(state, module.state_dict(), name)
    module.load_state_dict(state)


def _require_fit(state: Any, optimizer: Optimizer, made: Optimizer, name: str) -> None:
    wanted = made.state_dict()
    require_keys(state, wanted, name)
    _require_settings(state["param_groups"], optimizer, wanted["param_groups"], f"{name}['param_groups']")
    kept, place = state["state"], f"{name}['state']"
    if not isinstance(kept, Mapping):
        raise ValueError(f"{place} is {shown(kept)}, not the state of each parameter")
    for index, found in kept.items():
        if type(index) is not int or index not in wanted["state"]:
            raise ValueError(f"{place} has {shown(index)}, which is no parameter of which it keeps something")
        require_form(found, wanted["state"][index], f"{place}[{index}]")
        _require_numbers(found, wanted["state"][index], f"{place}[{index}]")
    try:
        try_step(optimizer, state, made.param_groups[0]["params"][0].device)
    except Exception as error:  # of arithmetic, or whatever an optimizer asks for
        raise ValueError(f"{name} allows no step: {shown(error)}") from None


def _require_settings(found: Any, optimizer: Optimizer, wanted: list[dict[str, Any]], place: str) -> None:
    """Groups with the settings of the optimizer; what else a step has put there is of the same form."""
    if type(found) is not list or len(found) != len(wanted):
        raise ValueError(f"{place} is {shown(found)}, not {len(wanted)} groups of parameters")
    given = inspect.signature(type(optimizer)).parameters
    for number, (group, like) in enumerate(zip(found, wanted, strict=True)):
        own = f"{place}[{number}]"
        rates = dict.fromkeys(RATES, 0.0)
        require_keys({**rates, **group} if isinstance(group, Mapping) else group, {**rates, **like}, own)
        for key in group:
            if key in RATES:
                _require_rate(group[key], f"{own}[{key!r}]")
            elif key in KERNELS:
                if type(group[key]) not in (bool, type(None)):
                    raise ValueError(f"{own}[{key!r}] is {shown(group[key])}, neither true nor false")
            else:
                require_form(group[key], like[key], f"{own}[{key!r}]")
                _require_numbers(group[key], like[key], f"{own}[{key!r}]", same=key in given or key == "params")


def _require_rate(value: Any, place: str) -> None:
    if isinstance(value, Tensor) and value.dim() == 0 and value.is_floating_point():
        value = value.item()
    if type(value) not in (int, float) or not 0 <= value < math.inf:
        raise ValueError(f"{place} is {shown(value)}, not a learning rate")


def _require_numbers(found: Any, like: Any, place: str, *, same: bool = False) -> None:
    """Single numbers, of the form of `like`: equal to it, or finite where it is, and counts of steps not negative."""
    if isinstance(like, Mapping | list | tuple):
        for key in like if isinstance(like, Mapping) else range(len(like)):
            _require_numbers(found[key], like[key], f"{place}[{key!r}]", same=same)
        return
    if isinstance(like, Tensor):
        if like.dim() or like.is_meta:
            return
        found, like = found.item(), like.item()
    if same and found != like:
        raise ValueError(f"{place} is {shown(found)}, and in the settings of this run {shown(like)}")
    if isinstance(like, int | float) and math.isfinite(like):
        least = 0 if place.endswith(f"[{COUNT!r}]") else -math.inf
        if not (math.isfinite(found) and found >= least):
            raise ValueError(f"{place} is {shown(found)}, which no steps lead to")
