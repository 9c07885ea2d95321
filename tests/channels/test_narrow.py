"""Narrowed networks against whole ones in which the layers that read a removed channel ignore it."""

import copy
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from nas.channels import Channels, narrow, trace
from nas.data.vision import torchvision
from tests.channels.networks import NETWORKS

VISION: dict[str, Callable[[], nn.Module]] = {
    "resnet18": torchvision.models.resnet18,
    "mobilenet_v2": torchvision.models.mobilenet_v2,
}


def random_network(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """A network in evaluation mode and float64 whose parameters and statistics are all random."""
    torch.manual_seed(seed)
    network = make().double().eval()
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and "weight" not in name:
            tensor.copy_(torch.rand_like(tensor) + 0.5 if "var" in name else torch.randn_like(tensor) / 3)
        elif tensor.dim() == 1 and tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    return network


def some_positions(channels: Channels, seed: int) -> dict[str, Tensor]:
    """Fewer positions of every group that is free; with the first seed two at least, where there are four."""
    generator = torch.Generator().manual_seed(seed)
    kept = {}
    for group in channels.groups:
        if not group.fixed:
            fewest = 1 if seed or group.size < 4 else 2
            size = int(torch.randint(fewest, max(group.size, 2), (), generator=generator))
            kept[group.name] = torch.randperm(group.size, generator=generator)[:size].sort().values
    return kept


def is_removed(channels: Channels, kept: Mapping[str, Tensor], channel: int) -> bool:
    """Whether a channel is in none of the kept positions of its group."""
    group = channels.groups[int(channels.group_of[channel])]
    return group.name in kept and int(channels.rank[channel]) not in kept[group.name].tolist()


def ignoring(network: nn.Module, channels: Channels, kept: Mapping[str, Tensor]) -> nn.Module:
    """A copy of the network, as wide as before, whose dense layers multiply removed channels by 0."""
    network = copy.deepcopy(network)
    for layer in channels.layers:
        removed = [index for index, channel in enumerate(layer.reads.tolist()) if is_removed(channels, kept, channel)]
        if not layer.depthwise and removed:
            module = network.get_submodule(layer.path)
            axis = 0 if layer.signature.get("transposed") == (1,) else 1
            # the functional networks have two weights in a module
            names = [
                name for name, p in module.named_parameters() if p.dim() > 1 and p.shape[axis] == layer.in_channels
            ]
            weights = dict(module.named_parameters())
            for name in names:
                weights[name].data.index_fill_(axis, torch.tensor(removed), 0.0)
    return network


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NETWORKS)
def test_a_narrowed_network_is_the_whole_one_without_the_channels(name: str, seed: int) -> None:
    network = random_network(NETWORKS[name], seed)
    channels = trace(network, (3, 16, 16))
    check(network, channels, some_positions(channels, seed), torch.randn(2, 3, 16, 16, dtype=torch.float64))


@pytest.mark.parametrize("name", VISION)
def test_networks_of_torchvision(name: str) -> None:
    network = random_network(VISION[name])
    channels = trace(network, (3, 64, 64))
    check(network, channels, some_positions(channels, 0), torch.randn(2, 3, 64, 64, dtype=torch.float64))


def check(network: nn.Module, channels: Channels, kept: dict[str, Tensor], images: Tensor) -> None:
    """The narrowed network gives what the whole one that ignores the rest gives, and has the kept channels."""
    assert kept, "nothing can be removed"
    narrowed = copy.deepcopy(network)
    narrow(narrowed, channels, kept)
    with torch.no_grad():
        found, expected, whole = narrowed(images), ignoring(network, channels, kept)(images), network(images)
    assert expected.std() > 0
    assert not torch.allclose(whole, expected, rtol=1e-3, atol=1e-3), "removing channels changed nothing"
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    if any(len(positions) == 1 for positions in kept.values()):
        return  # a depthwise convolution of one channel can't be told from a dense one
    again = trace(narrowed, tuple(images.shape[1:]))
    sizes = {group.name: len(kept.get(group.name, range(group.size))) for group in channels.groups}
    assert {group.name: group.size for group in again.groups} == sizes
    assert [group.writers for group in again.groups] == [group.writers for group in channels.groups]
