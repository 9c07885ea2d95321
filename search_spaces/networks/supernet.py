"""The supernet of a network's sizes."""

from collections.abc import Sequence

import torch
from torch import nn

from nas.channels import Channels
from nas.supernet import (
    BatchStatistics,
    LendingNetwork,
    Lent,
    MixedWidth,
    QuantizedLayer,
    SwitchableBatchNorm,
    widths_of,
)
from search_spaces.networks.places import Places, SizedLayer, choice_name
from search_spaces.networks.quantization import (
    Decisions,
    OfInputAndWeight,
    Quantization,
    bits_of,
    selected,
    with_quantizers,
)
from search_spaces.networks.replace import replace

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


class SizedSupernet(LendingNetwork):
    """A network whose layers have mixed bits and read mixed widths, and whose batch norms keep no statistics.

    A layer that reads a group of channels multiplies its weight along the input axis by the mixture of the group's
    masks; what lies between such layers works channel by channel, so that a channel which none of them reads is as good
    as removed. The network is changed in place.

    Raises:
        ValueError: a switchable batch norm of several groups of channels.
    """

    def __init__(
        self,
        network: nn.Module,
        channels: Channels,
        places: Places,
        widths: Sequence[float],
        quantization: Quantization,
        *,
        switchable: bool,
    ) -> None:
        for layer in places.layers:
            on_input, on_weight = quantization.mixed(layer)
            on_weight += _masks(layer, channels, places, widths)
            plain = network.get_submodule(layer.layer.path)
            replace(network, layer.layer.path, with_quantizers(plain, _chain(on_input), _chain(on_weight)))
        for path, norm in [*network.named_modules()]:
            if isinstance(norm, _NORMS):
                replace(network, path, _norm(path, norm, channels, places, widths, switchable=switchable))
        super().__init__(network)
        self.channels = channels
        self.places = places

    def make_plain(self, decisions: Decisions) -> dict[str, OfInputAndWeight]:
        """Turns layers and norms into plain ones again; returns the chosen quantizers by the paths of layers."""
        found: dict[str, OfInputAndWeight] = {}
        for layer in self.places.layers:
            module = self.network.get_submodule(layer.layer.path)
            if isinstance(module, QuantizedLayer):
                input_bits, weight_bits = bits_of(layer, decisions)
                found[layer.layer.path] = selected(module.on_input, input_bits), selected(module.on_weight, weight_bits)
                replace(self.network, layer.layer.path, module.plain())
        for path, module in [*self.network.named_modules()]:
            if isinstance(module, Lent) and isinstance(module.mixed, SwitchableBatchNorm):
                replace(self.network, path, module.mixed.select(decisions[module.choice]))
        for path, module in [*self.network.named_modules()]:
            if isinstance(module, BatchStatistics):
                replace(self.network, path, module.plain())
        return found


def _masks(layer: SizedLayer, channels: Channels, places: Places, widths: Sequence[float]) -> list[nn.Module]:
    """A mask of the weight's input axis for each group of channels that the layer reads and whose width is a choice."""
    if layer.layer.depthwise:
        return []  # it keeps channels apart
    reads = layer.layer.reads
    groups, masks = channels.group_of[reads], list[nn.Module]()
    for index in groups.unique().tolist():
        group = channels.groups[index]
        if group.name in places.widths:
            place = places.widths[group.name]
            ranks = torch.where(groups == index, channels.rank[reads], -1)
            mixed = MixedWidth(widths_of(widths, group.size, place), ranks)
            masks.append(Lent(mixed, choice_name(place, "width")))
    return masks


def _norm(
    path: str,
    norm: nn.BatchNorm1d | nn.BatchNorm2d,
    channels: Channels,
    places: Places,
    widths: Sequence[float],
    *,
    switchable: bool,
) -> nn.Module:
    numbers = channels.norms.get(path)
    if not switchable or numbers is None or not norm.affine:
        return BatchStatistics.of(norm)
    groups = {channels.groups[index].name for index in channels.group_of[numbers].tolist()}
    searched = [places.widths[name] for name in groups if name in places.widths]
    if not searched:
        return BatchStatistics.of(norm)
    if len(groups) > 1:
        raise ValueError(
            f"batch norm {path!r} normalizes a concatenation of {len(groups)} groups of channels, so that it has no "
            "one width to switch by; give space.normalization=shared"
        )
    return Lent(SwitchableBatchNorm(norm, widths), choice_name(searched[0], "width"))


def _chain(modules: Sequence[nn.Module]) -> nn.Module | None:
    return nn.Sequential(*modules) if modules else None
