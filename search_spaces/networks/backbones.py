"""Networks whose size can be searched, by name."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from nas.architecture import Genotype
from nas.reading import one_line, shown
from nas.space import Skeleton
from search_spaces.cells import CellSpace
from search_spaces.genotypes import read_genotype
from search_spaces.networks.cifar_resnet import CifarResNet
from search_spaces.operators import OPERATORS

MOST_PARAMETERS = 2**29
"""2 GiB of them in float32."""

Backbone = Callable[..., nn.Module]
"""Makes a network; it is given `num_classes` and `in_channels` where it has arguments of these names."""


def resnet18(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """ResNet-18 (He et al., 2016) of torchvision, for images of any number of channels."""
    from nas.data.vision import torchvision  # here, because it takes seconds

    network = torchvision.models.resnet18(num_classes=num_classes)
    if in_channels != 3:
        network.conv1 = _like(network.conv1, in_channels)
    return network


def mobilenet_v2(*, num_classes: int = 1000, in_channels: int = 3, width_mult: float = 1.0) -> nn.Module:
    """MobileNetV2 (Sandler et al., 2018) of torchvision, for images of any number of channels."""
    from nas.data.vision import torchvision

    network = torchvision.models.mobilenet_v2(num_classes=num_classes, width_mult=width_mult)
    if in_channels != 3:
        network.features[0][0] = _like(network.features[0][0], in_channels)
    return network


def cells(
    *,
    genotype: str = "DARTS_V2",
    channels: int = 16,
    cells: int = 8,
    stem: str = "cifar",
    num_classes: int = 10,
    in_channels: int = 3,
) -> nn.Module:
    """The network that a cell genotype describes: a published name, a run directory or a file."""
    skeleton = Skeleton(channels, cells, stem, num_classes, in_channels)
    found: Genotype = read_genotype(genotype)
    settings = {"operators": list(OPERATORS), **found.settings}
    return CellSpace(name=found.space, **settings).network(found, skeleton)


def _require_moderate(make: Backbone, arguments: Mapping[str, Any]) -> None:
    """A ValueError for a network that few machines hold, as a genotype may ask for; it is made where it takes none."""
    with torch.device("meta"):
        numbers = sum(parameter.numel() for parameter in make(**arguments).parameters())
    if numbers > MOST_PARAMETERS:
        raise ValueError(
            f"space.backbone_arguments {dict(arguments)} make a network of {numbers:,} parameters; "
            f"at most {MOST_PARAMETERS:,} are searched"
        )


def _like(conv: nn.Conv2d, in_channels: int) -> nn.Conv2d:
    """A convolution that differs in its input channels only."""
    assert isinstance(conv.padding, tuple)
    return nn.Conv2d(in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, bias=False)  # type: ignore[arg-type]


BACKBONES: Mapping[str, Backbone] = {
    "resnet20": partial(CifarResNet, depth=20),
    "resnet56": partial(CifarResNet, depth=56),
    "resnet18": resnet18,
    "mobilenet_v2": mobilenet_v2,
    "cells": cells,
}


def backbone_of(name: str | None, network: Backbone | None, arguments: Mapping[str, Any]) -> Backbone:
    """The function that makes the network: a backbone by its name, or the user's own.

    Raises:
        ValueError: neither or both, an unknown name, arguments that it does not have, or a module instead of a class.
            So does the function that is returned, where the network's own code fails on its arguments.
    """
    if name is None and network is None:
        raise ValueError(
            "there is no network whose size is searched: give space.backbone, or your own as space.network, in a "
            "--config-dir or beside +space=NAME and space.backbone=null"
        )
    if name is not None and network is not None:
        raise ValueError(f"space.network is given beside the backbone {name!r}; give space.backbone=null with it")
    if isinstance(network, nn.Module):
        raise ValueError(
            f"space.network is a {type(network).__name__} already, but each search makes its own: give the class, or "
            "in YAML `_partial_: true`"
        )
    if name is not None and name not in BACKBONES:
        raise ValueError(f"there is no backbone {name!r}; the backbones are {', '.join(BACKBONES)}")
    make = BACKBONES[name] if name is not None else network
    assert make is not None
    known = inspect.signature(make).parameters
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in known.values())
    if unknown := [key for key in arguments if key not in known and not takes_any]:
        raise ValueError(f"space.backbone_arguments holds {shown(unknown[0])}; the network has {', '.join(known)}")

    def made(**ends: int) -> nn.Module:
        given = {**{key: value for key, value in ends.items() if key in known}, **arguments}
        try:
            if name is not None:
                _require_moderate(make, given)
            return make(**given)
        except (TypeError, RuntimeError, ArithmeticError, LookupError, AttributeError) as error:
            words = ", ".join(f"{key}={shown(value)}" for key, value in given.items())
            reason = one_line(f"{type(error).__name__}: {error}".splitlines()[0])
            raise ValueError(f"the network to search cannot be made of ({words}): {reason}") from error

    return made
