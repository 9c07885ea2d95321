"""What the checkpoints of runs hold, read with one line for what does not fit."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from torch import nn

from nas.space import Skeleton


def skeleton_in(state: Mapping[str, Any], place: Path) -> Skeleton:
    """The skeleton in the state of a checkpoint; a ValueError for one of another version, which names its `place`."""
    data, known = state["skeleton"], {field.name for field in fields(Skeleton)}
    if data.keys() != known:
        wrong = ", ".join(sorted(data.keys() ^ known))
        raise ValueError(f"{place} is of another version of this program: its skeleton differs in {wrong}; run it anew")
    return Skeleton(**data)


def load_weights(module: nn.Module, weights: Mapping[str, Any], misfit: str, remedy: str = "") -> None:
    """Loads a state dict; a ValueError of `misfit`, the first difference and the `remedy` if it does not fit."""
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()[:200]
        raise ValueError(f"{misfit}: {first}{remedy}") from None
