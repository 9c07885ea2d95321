"""What the checkpoints of runs hold, read with one line for what does not fit."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from nas.architecture import Genotype
from nas.reading import differences, parse_json, require_count, require_form, require_keys, shown
from nas.space import SearchSpace, Skeleton

TRAINED = {"epoch": 0, "train_loss": 0.0, "train_accuracy": 0.0, "seconds": 0.0}
"""What the line of an epoch holds."""
SEARCHED = {**TRAINED, "valid_loss": 0.0, "valid_accuracy": 0.0}
NESTED = ("alphas", "genotype", "budget")
"""What the line of a search holds besides."""


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


def require_run(state: Mapping[str, Any]) -> None:
    """A ValueError unless a state says what every run says of itself, and has a line for each epoch before it."""
    for key, kind in {"command": str, "settings": dict, "records": list, "position": list}.items():
        if type(state.get(key)) is not kind:
            raise ValueError(f"its {key} is {shown(state.get(key))}")
    if type(seconds := state.get("seconds")) is not float or not 0 <= seconds < math.inf:
        raise ValueError(f"its seconds are {shown(seconds)}")
    require_count(state.get("rollbacks"), "rollbacks")
    require_form(state["position"], [0, 0], "position")
    for number in state["position"]:
        require_count(number, "position")
    if len(state["records"]) != state["position"][0]:
        raise ValueError(f"it has {len(state['records'])} lines before epoch {state['position'][0]}")
    for epoch, line in enumerate(state["records"]):
        _require_line(line, epoch, searched=state["command"] == "search")


def require_genotypes(space: SearchSpace, lines: Sequence[str], place: Path) -> None:
    """A ValueError that names its `place` where the lines of a search hold a genotype that is none of the space."""
    seen: list[Genotype] = []
    for epoch, line in enumerate(lines):
        if (genotype := Genotype.from_dict(json.loads(line)["genotype"])) in seen:
            continue
        try:
            if genotype.space != space.name:
                raise ValueError(f"it is of space {shown(genotype.space)}, and this is {space.name}")
            space.selection(genotype)
        except ValueError as error:
            raise ValueError(
                f"resume=true: {place} has in epoch {epoch} a genotype that does not fit: {error}"
            ) from None
        seen.append(genotype)


def _require_line(line: Any, epoch: int, *, searched: bool) -> None:
    place = f"the line of epoch {epoch}"
    data = parse_json(line) if type(line) is str and line.endswith("\n") and line.count("\n") == 1 else line
    if not isinstance(data, dict):
        raise ValueError(f"{place} is {shown(data)}")
    require_form({key: data[key] for key in data if key not in NESTED}, SEARCHED if searched else TRAINED, place)
    if data["epoch"] != epoch:
        raise ValueError(f"{place} is one of epoch {data['epoch']}")
    if not searched:
        require_keys(data, TRAINED, place)
        return
    Genotype.from_dict(data.get("genotype"))
    for key in ("alphas", "budget"):
        if type(data.get(key, {})) is not dict:
            raise ValueError(f"the {key} of {place} are {shown(data.get(key))}")
    require_form(budget := data.get("budget", {}), dict.fromkeys(budget, 0.0), f"the budget of {place}")


def _kinds(value: Any) -> Any:
    return tuple(map(type, value)) if isinstance(value, tuple) else type(value)
