"""Weights to start from."""

import os
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from nas.reading import differences, load_tensors

PREFIX = "network."
"""What the weights of a retrained network of this package are called by more than those of the network itself."""


def load_pretrained(network: nn.Module, source: str) -> None:
    """Loads the weights of a file written by torch.save, a state dict, or of the directory of a retraining.

    Raises:
        ValueError: no such file, one that holds no state dict of tensors, or one of another network.
    """
    path = Path(source) / "checkpoint.pt" if os.path.isdir(source) else Path(source)
    weights = _read(path)
    wanted = network.state_dict()
    if not weights.keys() & wanted.keys() and all(name.startswith(PREFIX) for name in weights):
        weights = {name.removeprefix(PREFIX): value for name, value in weights.items()}
    if found := list(differences(network, weights)):
        raise ValueError(
            f"space.init_from {source} does not fit the network: {found[0]}"
            + (f", and {len(found) - 1} more differences" if len(found) > 1 else "")
            + "; give the weights of the very network that is searched, in float and at full width: a retraining whose "
            "genotype is quantized or narrowed does not fit"
        )
    network.load_state_dict(weights)


def _read(path: Path) -> dict[str, Tensor]:
    if not os.path.isfile(path):
        raise ValueError(
            f"space.init_from {path} is no file; give a state dict saved by torch, or a run of nas.retrain"
        )
    try:
        found = load_tensors(path, "file of weights")
    except ValueError as error:
        raise ValueError(f"space.init_from {error}") from None
    for key in ("state", "weights"):  # where a checkpoint of this package holds them
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if (
        not isinstance(found, Mapping)
        or not found
        or not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in found.items())
    ):
        raise ValueError(f"space.init_from {path} holds no state dict of tensors; save network.state_dict()")
    return dict(found)
