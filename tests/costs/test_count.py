"""Costs of discrete networks against formulas by hand and a slow count with hooks."""

import pytest
import torch
from torch import Tensor, nn

from nas.costs import Cost, bops_per_output, count
from nas.space import ModuleSpace, Skeleton
from nas.supernet import MixedOp
from search_spaces.cells.published import PUBLISHED
from tests.search_spaces.spaces import darts


class Residual(nn.Module):
    """A small residual network: stem, one block of stride 2 with a shortcut, classifier, and an auxiliary head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.block = nn.Sequential(
            nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1, groups=4)
        )
        self.shortcut = nn.Conv2d(8, 16, 1, stride=2, bias=False)
        self.auxiliary_head = nn.Linear(8, 10)
        self.classifier = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        if self.training:
            self.auxiliary_head(x.mean(dim=(2, 3)))
        x = torch.relu(self.block(x) + self.shortcut(x))
        return self.classifier(x.mean(dim=(2, 3)))


def slow_cost(network: nn.Module, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Parameters without auxiliary parts, multiply-accumulates and bit operations that hooks see in a forward pass."""
    macs, bops = [], []

    def of_convolution(module: nn.Conv2d, _: object, y: Tensor) -> None:
        taps = module.kernel_size[0] * module.kernel_size[1] * (module.in_channels // module.groups)
        macs.append(y.shape[1] * y.shape[2] * y.shape[3] * taps)
        bops.append(y.numel() * bops_per_output(taps, 32, 32))

    def of_linear(module: nn.Linear, *_: object) -> None:
        macs.append(module.in_features * module.out_features)
        bops.append(module.out_features * bops_per_output(module.in_features, 32, 32))

    hooks = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(of_convolution))
        if isinstance(module, nn.Linear):
            hooks.append(module.register_forward_hook(of_linear))
    with torch.no_grad():
        network.eval()(torch.zeros(1, *shape))
    for hook in hooks:
        hook.remove()
    params = sum(p.numel() for name, p in network.named_parameters() if not name.startswith("auxiliary"))
    return params, sum(macs), sum(bops)


def test_a_residual_network_by_hand() -> None:
    params = 8 * 3 * 9 + 2 * 8 + (16 * 8 * 9 + 16) + (16 * 4 * 9 + 16) + 16 * 8 + (16 * 10 + 10)
    macs = 8 * 3 * 9 * 11 * 12 + (16 * 8 * 9 + 16 * 4 * 9 + 16 * 8) * 6 * 6 + 16 * 10
    found = count(Residual(), (3, 11, 12))
    assert (found.params, found.macs, found.auxiliary_params) == (params, macs, 8 * 10 + 10)
    assert found.memory_bytes == 4 * params
    # outputs, and inputs of each with the kernel: for every convolution and the classifier
    layers = [(8 * 132, 27), (16 * 36, 72), (16 * 36, 36), (16 * 36, 8), (10, 16)]
    assert found.bops == sum(outputs * bops_per_output(fan_in, 32, 32) for outputs, fan_in in layers)


@pytest.mark.parametrize("name", ["DARTS_V2", "PC_DARTS_image", "DARTS_PT_0", "NASNet", "AmoebaNet"])
@pytest.mark.parametrize(
    ("skeleton", "shape"),
    [
        (Skeleton(channels=4, num_cells=4, num_classes=7, auxiliary=True), (3, 15, 17)),
        (Skeleton(channels=4, num_cells=3, stem="imagenet", in_channels=1), (1, 37, 32)),
    ],
    ids=["cifar", "imagenet"],
)
def test_published_cells_against_hooks(name: str, skeleton: Skeleton, shape: tuple[int, int, int]) -> None:
    network = darts().network(PUBLISHED[name], skeleton)
    cost = count(network, shape)
    assert (cost.params, cost.macs, cost.bops) == slow_cost(network, shape)
    assert (cost.auxiliary_params > 0) == skeleton.auxiliary


@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_the_auxiliary_head_is_in_no_cost_but_its_own(stem: str) -> None:
    sizes = {"channels": 4, "num_cells": 5, "stem": stem}
    shape = (3, 64, 64)
    without = count(darts().network(PUBLISHED["DARTS_V2"], Skeleton(**sizes)), shape)
    with_head = count(darts().network(PUBLISHED["DARTS_V2"], Skeleton(**sizes, auxiliary=True)), shape)
    assert (with_head.params, with_head.macs) == (without.params, without.macs)
    assert without.auxiliary_params == 0
    # 1x1 convolution from 4 * 4C channels, norm, 2x2 convolution, norm (CIFAR only), linear
    norms = 2 * 128 + (2 * 768 if stem == "cifar" else 0)
    assert with_head.auxiliary_params == 4 * 16 * 128 + 4 * 128 * 768 + norms + 768 * 10 + 10


def test_counting_leaves_the_network_as_it_was() -> None:
    network = darts().network(PUBLISHED["PC_DARTS_cifar"], Skeleton(channels=4, num_cells=3)).train()
    network.backbone.cells[0].eval()
    modes = [module.training for module in network.modules()]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    pointers = [parameter.data_ptr() for parameter in network.parameters()]
    random_state = torch.get_rng_state()
    count(network, (3, 32, 32))
    assert [module.training for module in network.modules()] == modes
    assert [parameter.data_ptr() for parameter in network.parameters()] == pointers
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(torch.get_rng_state(), random_state)


def test_a_network_that_was_never_filled_costs_the_same() -> None:
    skeleton = Skeleton(channels=4, num_cells=3, auxiliary=True)
    with torch.device("meta"):
        empty = darts().network(PUBLISHED["DARTS_V2"], skeleton)
    assert count(empty, (3, 16, 16)) == count(darts().network(PUBLISHED["DARTS_V2"], skeleton), (3, 16, 16))


def test_a_users_own_network() -> None:
    class Net(nn.Module):
        def __init__(self, skeleton: Skeleton) -> None:
            super().__init__()
            self.conv = MixedOp({"wide": nn.Conv2d(3, 3, 5, padding=2), "narrow": nn.Conv2d(3, 3, 3, padding=1)})

        def forward(self, x: Tensor, mixture: dict[str, Tensor]) -> Tensor:
            return self.conv(x, mixture["conv/op"]).mean(dim=(2, 3))

    space = ModuleSpace("mine", Net)
    costs = {}
    for name, mixture in (("wide", [1.0, 0.0]), ("narrow", [0.0, 1.0])):
        weights = space.selection(space.sample(torch.Generator()))
        weights.tables["conv/op"] = torch.tensor([mixture])
        costs[name] = count(space.network(space.derive(weights), Skeleton()), (3, 8, 8))
    peak = 4 * (2 * 3 * 64 + 3)  # the image, what the convolution gives, and its means
    assert costs == {
        "wide": Cost(228, 9 * 25 * 64, 3 * 64 * bops_per_output(75, 32, 32), 4 * 228, peak),
        "narrow": Cost(84, 9 * 9 * 64, 3 * 64 * bops_per_output(27, 32, 32), 4 * 84, peak),
    }


@pytest.mark.parametrize("shape", [(1, 32, 32), (4, 8, 8)])
def test_an_image_that_does_not_fit_is_refused_in_one_line(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        count(Residual(), shape)
    assert str(error.value).startswith(f"the network cannot take an image of shape {list(shape)}: ")
    assert "\n" not in str(error.value)


class Deciding(nn.Module):
    """A network whose code reads numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return x * 2 if x.sum() > 1 or x.detach().cpu().numpy().sum() > 1 else x + 1


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_network_that_reads_numbers_is_counted(device: str) -> None:
    with torch.device(device):
        network = Deciding()
    found = count(network, (3, 8, 8))
    assert (found.params, found.macs) == (8 * 27 + 8 + 16, 8 * 27 * 36)
    assert found.peak_activation_bytes == 4 * (3 * 64 + 2 * 8 * 36)
    assert all(parameter.device.type == device for parameter in network.parameters())
