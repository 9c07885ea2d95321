"""Mixture weights lent to the mixed modules of any network for one forward pass."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.supernet.mixed import MixedModule


class Lent(nn.Module):
    """A mixed module in a network that knows nothing of mixtures: tensor -> tensor, with weights that are lent to it.

    The buffer `mixture`, (candidates,), holds the weights of `choice` while a `LendingNetwork` runs, and NaN at any
    other time, so that a forgotten mixture shows. It is no part of the state dict.
    """

    mixture: Tensor

    def __init__(self, mixed: MixedModule, choice: str) -> None:
        super().__init__()
        self.mixed = mixed
        self.choice = choice
        self.register_buffer("mixture", torch.full((len(mixed.candidates),), torch.nan), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.mixed(x, self.mixture)
        return y

    def extra_repr(self) -> str:
        return f"choice={self.choice}"


class LendingNetwork(nn.Module):
    """A network as a pure function of images and mixture: every `Lent` module in it is lent the weights of its choice.

    supernet(x, mixture) = functional_call(network, {the buffer of each lent module: mixture[its choice]}, (x,)).
    Several lent modules may share a choice. They are counted when this is built, so build it last.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._borrowers = {
            f"{path}.mixture".lstrip("."): module.choice
            for path, module in network.named_modules()
            if isinstance(module, Lent)
        }

    @property
    def choices(self) -> tuple[str, ...]:
        """The names of the choices whose weights are lent, each once, in the order of the network."""
        return tuple(dict.fromkeys(self._borrowers.values()))

    def forward(self, x: Tensor, mixture: Mapping[str, Tensor]) -> Tensor:
        """x: what the network takes; mixture[choice]: (candidates,)."""
        weights = {choice: mixture[choice] for choice in self.choices}
        lent = {buffer: weights[choice] for buffer, choice in self._borrowers.items()}
        y: Tensor = functional_call(self.network, lent, (x,), tie_weights=False)
        return y
