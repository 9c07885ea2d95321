"""Networks after every choice was made."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nas.channels import Channels, narrow
from nas.space import DiscreteNetwork
from nas.supernet import Lent
from search_spaces.networks.places import Places, choice_name
from search_spaces.networks.quantization import Decisions, OfInputAndWeight, with_quantizers
from search_spaces.networks.replace import replace


class SizedNetwork(DiscreteNetwork):
    """A network as a user wrote it, with the widths, bits and operators of a genotype."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.network(x)
        return logits

    def training_logits(self, x: Tensor) -> tuple[Tensor, ...]:
        return (self(x),)


def decide(
    network: nn.Module,
    channels: Channels,
    places: Places,
    decisions: Decisions,
    quantizers: Mapping[str, OfInputAndWeight],
) -> SizedNetwork:
    """Makes, in place, all choices in a network of plain layers whose operators are still mixed.

    `quantizers` are those of the layers at some paths; all others stay float.
    """
    for path, of_layer in quantizers.items():
        replace(network, path, with_quantizers(network.get_submodule(path), *of_layer))
    narrow(network, channels, _kept(channels, places, decisions))
    for path, module in [*network.named_modules()]:
        if isinstance(module, Lent):
            replace(network, path, module.mixed.select(decisions[module.choice]))
    return SizedNetwork(network)


def _kept(channels: Channels, places: Places, decisions: Decisions) -> dict[str, Tensor]:
    """The positions that stay in each group of channels whose width is a choice: the first ones."""
    shares = {
        group: float(decisions[choice_name(places.widths[group.name], "width")])
        for group in channels.groups
        if group.name in places.widths
    }
    return {group.name: torch.arange(round(share * group.size), device="cpu") for group, share in shares.items()}
