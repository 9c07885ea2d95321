"""Sizes of every backbone: a supernet at a one-hot mixture is the network that is cut out of it."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from nas.costs import count
from nas.space import Skeleton
from search_spaces.networks import NetworkSpace
from tests.contracts import EXACT, draws, random_images
from tests.marks import slow

BACKBONES: dict[str, dict[str, Any]] = {
    "resnet56": {"channels": 4},
    "resnet18": {},
    "mobilenet_v2": {"width_mult": 0.25},
    "cells": {"genotype": "DARTS_V2", "channels": 4, "cells": 3},
}
SIZES: dict[str, dict[str, Any]] = {
    "widths": {"widths": (0.5, 1.0)},
    "bits": {"weight_bits": (2, 32), "input_bits": (3, 8), "first_bits": 8, "last_bits": 8},
    "joint": {
        "widths": (0.5, 1.0),
        "weight_bits": (2, 32),
        "input_bits": (3, 8),
        "operators": ("conv_3x3", "conv_1x1"),
    },
}
FAST = [("cells", "widths")]
SLOW = [
    ("cells", "bits"),
    ("mobilenet_v2", "widths"),
    ("mobilenet_v2", "bits"),
    *((backbone, sizes) for backbone in ("resnet56", "resnet18") for sizes in SIZES),
]


@pytest.mark.parametrize(("backbone", "sizes"), [*FAST, *slow(*SLOW)])
def test_a_one_hot_supernet_is_the_network(backbone: str, sizes: str) -> None:
    """On images of digits, 1 x 8 x 8, in training, where both take batch statistics."""
    space = NetworkSpace(name=sizes, backbone=backbone, backbone_arguments=BACKBONES[backbone], **SIZES[sizes])
    skeleton = Skeleton(num_classes=5, in_channels=1, image_size=(8, 8))
    torch.manual_seed(0)
    supernet = without_dropout(space.supernet(skeleton).double())
    images = random_images(4, 1, 8, 8)
    for genotype in draws(space, 2):
        network = space.inherited(supernet, genotype)
        with torch.no_grad():
            assert_close(supernet(images, space.selection(genotype)), network.train()(images), **EXACT)
        fresh, model = space.network(genotype, skeleton), space.cost("params", skeleton)
        assert {n: v.shape for n, v in fresh.state_dict().items()} == {
            n: v.shape for n, v in network.state_dict().items()
        }
        assert model.exact(genotype.decisions) == count(fresh, skeleton.image_shape).params


def without_dropout(network: nn.Module) -> nn.Module:
    """The network, whose training draws no random numbers any more."""
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return network


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "cells"])
def test_networks_without_dense_convolutions_have_no_operators_to_choose(backbone: str) -> None:
    with pytest.raises(ValueError, match=r"^space.operators needs a plain convolution of 3x3 .*: give \[\]$"):
        NetworkSpace(name="j", backbone=backbone, backbone_arguments=BACKBONES[backbone], **SIZES["joint"])
