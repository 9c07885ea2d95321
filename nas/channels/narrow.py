"""Channels taken out of a network."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nas.channels.layer import Channels, Layer
from nas.channels.run import named_tensors


def narrow(network: nn.Module, channels: Channels, kept: Mapping[str, Tensor]) -> None:
    """Removes channels from a network in place: kept[group] are the positions that stay, int64, in ascending order.

    `channels` is what `trace` found in this network; groups that are not named stay whole. Parameters and buffers stay
    the same objects with other data, on their devices, so ties hold; their gradients are dropped, and what an optimizer
    remembers of them does not fit any more. The sizes that modules of PyTorch state, such as `in_channels`, follow.

    Raises:
        ValueError: an unknown group, one that is fixed, or positions that are none, out of range, not ascending or
            not int64.
    """
    with torch.device("cpu"):  # not where new tensors happen to be made: the answers are read at once
        stays = staying(channels, kept)
    tensors = dict(named_tensors(network))
    done: set[tuple[int, int]] = set()
    for (name, axis), line in channels.dims.items():
        tensor = tensors[name]
        if (id(tensor), axis) in done or bool(stays[line].all()):
            continue
        done.add((id(tensor), axis))
        tensor.grad = None
        tensor.data = tensor.data.index_select(axis, stays[line].nonzero().flatten().to(tensor.device))
    for layer in channels.layers:
        _state_sizes(network.get_submodule(layer.path), layer, stays)
    for path, line in channels.norms.items():
        norm = network.get_submodule(path)
        assert isinstance(norm, nn.modules.batchnorm._NormBase)
        norm.num_features = int(stays[line].sum())
    for module in network.modules():
        if isinstance(module, nn.PReLU):
            module.num_parameters = module.weight.numel()


def staying(channels: Channels, kept: Mapping[str, Tensor]) -> Tensor:
    """Whether each channel stays, (channels,) bool; the errors are those of `narrow`."""
    stays = torch.ones_like(channels.group_of, dtype=torch.bool)
    for name, positions in kept.items():
        group = channels.group(name)
        if group.fixed:
            raise ValueError(f"channel group {name!r} must stay whole: {group.fixed}")
        if positions.dtype != torch.int64 or positions.dim() != 1:
            given = f"of type {positions.dtype} and shape {tuple(positions.shape)}"
            raise ValueError(f"kept[{name!r}] is {given}; give int64 positions of shape (n,)")
        found = positions.tolist()
        if not found or found != sorted(set(found)) or not 0 <= found[0] <= found[-1] < group.size:
            raise ValueError(
                f"kept[{name!r}] is {_short(found)}; give at least one position out of 0 to {group.size - 1}, ascending"
            )
        inside = channels.group_of == channels.groups.index(group)
        stays[inside] = torch.isin(channels.rank[inside], positions.cpu())
    return stays


def _state_sizes(module: nn.Module, layer: Layer, stays: Tensor) -> None:
    inputs, outputs = (int(stays[line].sum()) for line in (layer.reads, layer.writes))
    if isinstance(module, nn.modules.conv._ConvNd):
        module.in_channels, module.out_channels = inputs, outputs
        module.groups = inputs if layer.depthwise else module.groups
    elif isinstance(module, nn.Linear):
        module.in_features, module.out_features = inputs, outputs


def _short(positions: list[int]) -> str:
    """At most eight of them."""
    return str(positions) if len(positions) <= 8 else f"[{', '.join(map(str, positions[:8]))}, …]"
