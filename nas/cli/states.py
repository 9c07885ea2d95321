"""What the checkpoints of runs hold, read with one line for what does not fit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from nas.reading import differences, shown
from nas.space import Skeleton


def skeleton_in(state: Mapping[str, Any], place: Path) -> Skeleton:
    """The skeleton in the state of a checkpoint; a ValueError for one of another version, which names its `place`."""
    data, known = state["skeleton"], vars(Skeleton())
    if not isinstance(data, dict) or data.keys() != known.keys():
        wrong = ", ".join(sorted(map(str, data.keys() ^ known.keys()))) if isinstance(data, dict) else shown(data)
        raise ValueError(
            f"{place} is of another version of this program: its skeleton differs in {shown(wrong)}; run it anew"
        )
    for name, example in known.items():
        if _kinds(data[name]) != _kinds(example):
            raise ValueError(f"{place} is damaged: {name} of its skeleton is {shown(data[name])}; run it anew")
    return Skeleton(**data)


def require_fit(network: nn.Module, weights: Any, misfit: str, remedy: str = "") -> None:
    """A ValueError of `misfit`, the first difference and the `remedy` unless a network can load these weights.

    The network may be on the meta device: what a file says of its size is then held against the weights that it has
    before any memory is taken.
    """
    if not isinstance(weights, Mapping):
        raise ValueError(f"{misfit}: they are {shown(weights)}, no state dict{remedy}")
    for difference in differences(network, weights):
        raise ValueError(f"{misfit}: {difference}{remedy}")


def _kinds(value: Any) -> Any:
    return tuple(map(type, value)) if isinstance(value, tuple) else type(value)
