"""A state dict held against the network that is to take it."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from nas.reading.words import shown


def differences(network: nn.Module, weights: Mapping[str, Any]) -> Iterator[str]:
    """What keeps a network from loading a state dict, in words; nothing where it fits.

    The network may be on the meta device, where it takes no memory, whatever size a file says that it has.
    """
    wanted = network.state_dict()
    yield from (f"{name} is missing" for name in wanted if name not in weights)
    yield from (f"{shown(name)} is not in the network" for name in weights if name not in wanted)
    for name, value in wanted.items():
        found = weights.get(name)
        if name in weights and not isinstance(found, Tensor):
            yield f"{name} is {shown(found)}, which is no tensor"
        elif isinstance(found, Tensor) and found.shape != value.shape:
            yield f"{name} is {list(found.shape)} there and {list(value.shape)} in the network"
