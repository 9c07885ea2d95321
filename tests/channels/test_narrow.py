"""Narrowed networks against whole ones in which the layers that read a removed channel ignore it."""

import copy
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from nas.channels import Channels, narrow, trace
from tests.channels.networks import BETWEEN, NETWORKS, Head, Middle, vision
from tests.marks import slow


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


@pytest.mark.parametrize("between", [between for between, size in BETWEEN if size])
def test_operations_between_two_layers(between: Callable[[Tensor], Tensor]) -> None:
    network = random_network(lambda: Head(Middle(between), 6))
    channels = trace(network, (3, 16, 16))
    kept = some_positions(channels, 0)
    check(network, channels, kept, torch.randn(2, 3, 16, 16, dtype=torch.float64))


@pytest.mark.parametrize("name", ["resnet18", *slow("mobilenet_v2")])
def test_networks_of_torchvision(name: str) -> None:
    network = random_network(lambda: vision(name))
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


def test_modules_state_their_sizes_and_tensors_stay_what_they_are() -> None:
    network = NETWORKS["mobilenet"]().to(torch.bfloat16)
    network[0][1].layers[0][0].weight.requires_grad_(False)
    names = {name: id(tensor) for name, tensor in network.named_parameters()}
    network(torch.randn(2, 3, 16, 16, dtype=torch.bfloat16)).sum().backward()
    narrow(network, trace(network, (3, 16, 16)), {"0/1/layers/0/0": torch.tensor([0, 5, 6])})
    expand, _, depthwise, _, project = network[0][1].layers
    assert (expand[0].in_channels, expand[0].out_channels, expand[0].groups) == (4, 3, 1)
    assert (depthwise[0].in_channels, depthwise[0].out_channels, depthwise[0].groups) == (3, 3, 3)
    assert (project[0].in_channels, project[0].out_channels) == (3, 4)
    assert expand[1].num_features == depthwise[1].num_features == 3
    assert {name: id(tensor) for name, tensor in network.named_parameters()} == names
    assert not expand[0].weight.requires_grad
    assert depthwise[0].weight.requires_grad
    assert (depthwise[0].weight.shape, depthwise[0].weight.grad, depthwise[0].weight.dtype) == (
        (3, 1, 3, 3),
        None,
        torch.bfloat16,
    )
    assert project[0].weight.shape == (4, 3, 1, 1)
    assert network[0][0][0].weight.grad is not None, "a layer that stays whole keeps its gradient"


def test_a_network_on_the_meta_device_is_narrowed_as_one_with_numbers() -> None:
    with torch.device("meta"):
        empty = NETWORKS["plain"]()
    full = NETWORKS["plain"]()
    for network in (empty, full):
        narrow(network, trace(network, (3, 16, 16)), {"0/0/0": torch.tensor([1, 2]), "0/2/0": torch.tensor([0, 3, 5])})
    assert {name: tensor.shape for name, tensor in empty.state_dict().items()} == {
        name: tensor.shape for name, tensor in full.state_dict().items()
    }
    assert all(tensor.is_meta for tensor in empty.state_dict().values())
    assert empty[0][3].num_parameters == 3


def test_tied_parameters_are_cut_once_and_stay_tied() -> None:
    network = nn.Sequential(*(nn.Conv2d(4, 4, 1, bias=False) for _ in range(3)), nn.Flatten(), nn.Linear(16, 2))
    network[1].weight = network[2].weight
    channels = trace(network, (4, 2, 2))
    assert [group.size for group in channels.groups if not group.fixed] == [4]
    narrow(network, channels, {"0": torch.tensor([0, 2, 3])})
    assert network[1].weight is network[2].weight
    assert network[2].weight.shape == (3, 3, 1, 1)
    assert network(torch.randn(1, 4, 2, 2)).shape == (1, 2)


class Scaled(nn.Linear):
    """A user's own layer."""

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[1] == self.in_features
        return super().forward(x) / self.out_features


def test_layers_of_a_users_own_class_state_their_sizes_too() -> None:
    network = nn.Sequential(nn.Flatten(), Scaled(12, 6), nn.BatchNorm1d(6, affine=False), Scaled(6, 2)).eval()
    narrow(network, trace(network, (3, 2, 2)), {"1": torch.tensor([1, 4])})
    assert (network[1].out_features, network[2].num_features, network[3].in_features) == (2, 2, 2)
    assert network(torch.randn(3, 3, 2, 2)).shape == (3, 2)


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({"9": torch.tensor([0])}, r"^channel group '9' must stay whole: the network returns it$"),
        ({"input": torch.tensor([0])}, r"^channel group 'input' must stay whole: it is the image$"),
        ({"7": torch.tensor([0])}, r"^there is no channel group '7'; the groups are input, 0, 2, 6, 9$"),
        (
            {"2": torch.tensor([], dtype=torch.int64)},
            r"^kept\['2'\] is \[\]; give at least one position out of 0 to 7, ",
        ),
        ({"2": torch.tensor([3, 8])}, r"^kept\['2'\] is \[3, 8\]; give "),
        ({"2": torch.tensor([-1, 3])}, r"^kept\['2'\] is \[-1, 3\]; give "),
        ({"2": torch.tensor([3, 1])}, r"^kept\['2'\] is \[3, 1\]; give "),
        ({"2": torch.tensor([3, 3])}, r"^kept\['2'\] is \[3, 3\]; give "),
        ({"6": torch.arange(11, -1, -1)}, r"^kept\['6'\] is \[11, 10, 9, 8, 7, 6, 5, 4, …\]; give "),
        (
            {"2": torch.tensor([True, False])},
            r"^kept\['2'\] is of type torch.bool and shape \(2,\); give int64 positions",
        ),
    ],
)
def test_positions_that_cannot_be_kept_are_refused(kept: dict[str, Tensor], message: str) -> None:
    network = NETWORKS["vgg"]()
    channels = trace(network, (3, 16, 16))
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(ValueError, match=message):
        narrow(network, channels, {"0": torch.tensor([1]), **kept})
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
