"""Derived networks, built from a genotype's file without the commands."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nas.architecture import Genotype
from nas.space import DiscreteNetwork, Skeleton
from search_spaces.cells import CellSpace

SMOKE = Skeleton(channels=8, num_cells=2, stem="cifar", num_classes=10, in_channels=1, image_size=(8, 8))
"""What debug=smoke makes of digits."""


def network(genotype: Genotype, skeleton: Skeleton = SMOKE) -> DiscreteNetwork:
    """The network of a genotype that a search left."""
    return CellSpace(name=genotype.space, **genotype.settings).network(genotype, skeleton)


def params_and_macs(module: nn.Module, image: Sequence[int]) -> tuple[int, int]:
    """Counted at work: all weights; output places x weights of every convolution and linear layer that runs."""
    macs = 0

    def count(layer: nn.Conv2d | nn.Linear, _: object, output: Tensor) -> None:
        nonlocal macs
        macs += layer.weight.numel() * (output[0, 0].numel() if isinstance(layer, nn.Conv2d) else 1)

    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    with torch.no_grad():
        module.eval()(torch.zeros(1, *image))
    return sum(p.numel() for name, p in module.named_parameters() if "auxiliary" not in name), macs
