"""Backbones: sizes that are known, and their ends."""

import pytest
import torch
from torch import nn

from nas.costs import count
from search_spaces.networks.backbones import BACKBONES, backbone_of

# parameters and MACs in all; the 40,812,544 MACs of ResNet-20's convolutions are those of Zur et al., 2019, with 1x1
# shortcuts, and 640 are the classifier's. ResNet-18 and MobileNetV2: torchvision's own figures.
KNOWN = {
    "resnet20": ((3, 32, 32), 272_474, 40_812_544 + 640),
    "resnet56": ((3, 32, 32), 855_770, None),
    "resnet18": ((3, 224, 224), 11_689_512, 1_814_073_344),
    "mobilenet_v2": ((3, 224, 224), 3_504_872, 300_774_272),
}


@pytest.mark.parametrize("name", KNOWN)
def test_backbones_have_the_sizes_that_are_known(name: str) -> None:
    shape, params, macs = KNOWN[name]
    with torch.device("meta"):
        found = count(backbone_of(name, None, {})(), shape)
    assert found.params == params
    assert macs is None or found.macs == macs


@pytest.mark.parametrize("name", BACKBONES)
def test_backbones_take_other_images_and_classes(name: str) -> None:
    network = backbone_of(name, None, {})(num_classes=7, in_channels=1).eval()
    with torch.no_grad():
        assert network(torch.randn(2, 1, 32, 32)).shape == (2, 7)


def test_arguments_reach_the_network() -> None:
    narrow = backbone_of("resnet20", None, {"channels": 4, "depth": 8})(num_classes=10, in_channels=3)
    assert narrow.conv.out_channels == 4
    assert len(narrow.stages[0]) == 1
    cells = backbone_of("cells", None, {"channels": 4, "cells": 3, "genotype": "PC_DARTS_cifar"})()
    assert len(cells.backbone.cells) == 3


def test_a_class_of_ones_own_gets_what_it_has_arguments_for() -> None:
    class Mine(nn.Module):
        def __init__(self, in_channels: int, hidden: int = 3) -> None:
            super().__init__()
            self.layer = nn.Conv2d(in_channels, hidden, 1)

    assert backbone_of(None, Mine, {"hidden": 5})(num_classes=10, in_channels=2).layer.weight.shape == (5, 2, 1, 1)
    assert backbone_of(None, lambda: nn.Linear(2, 2), {})(num_classes=10, in_channels=2).in_features == 2


@pytest.mark.parametrize(
    ("name", "network", "arguments", "message"),
    [
        (None, None, {}, "^there is no network whose size is searched: give space.backbone, or your own as space.net"),
        ("resnet20", nn.Linear, {}, "^space.network is given beside the backbone 'resnet20'; give space.backbone=null"),
        ("resnet21", None, {}, "^there is no backbone 'resnet21'; the backbones are resnet20, resnet56, resnet18"),
        (
            None,
            nn.Linear(2, 2),
            {},
            "^space.network is a Linear already, but each search makes its own",
        ),
        ("resnet20", None, {"width": 3}, "^space.backbone_arguments holds 'width'; the network has depth, num_classes"),
    ],
)
def test_mistakes_are_one_line(name: str | None, network: object, arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        backbone_of(name, network, arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("depth", [2, 21, 1208])
def test_a_depth_that_no_residual_network_has(depth: int) -> None:
    with pytest.raises(ValueError, match=f"has 6n . 2 layers, up to 1202; depth is {depth}: give 20, 32, 44, 56, …"):
        backbone_of("resnet20", None, {"depth": depth})()
