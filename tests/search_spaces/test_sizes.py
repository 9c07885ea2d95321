"""Sizes that papers and their authors' code report; nothing is computed, the networks are on the meta device."""

import pytest
import torch

from nas.costs import Cost, count
from nas.space import Skeleton
from search_spaces.cells import CellSpace
from search_spaces.cells.published import PUBLISHED
from tests.search_spaces.spaces import darts, pc_darts

CIFAR = {"channels": 36, "num_cells": 20}
IMAGENET = {"channels": 48, "num_cells": 14, "stem": "imagenet", "num_classes": 1000}


def cost(name: str, shape: tuple[int, int, int], **skeleton: object) -> Cost:
    with torch.device("meta"):
        network = darts().network(PUBLISHED[name], Skeleton(**skeleton))
    return count(network, shape)


@pytest.mark.parametrize(("name", "params"), [("DARTS_V2", 3_349_342), ("PC_DARTS_cifar", 3_634_678)])
def test_networks_on_cifar(name: str, params: int) -> None:
    # specs/darts.md, 1.6 and 2.2: counted by the authors' count_parameters_in_MB; every head has 476 426 parameters
    found = cost(name, (3, 32, 32), **CIFAR, auxiliary=True)
    assert (found.params, found.auxiliary_params) == (params, 476_426)
    if name == "DARTS_V2":
        assert found.macs == 528_359_040  # 528.36 M, recorded from this code; hooks give the same


def test_darts_on_imagenet() -> None:
    # specs/darts.md, 1.6: 4 718 752 parameters, 529.912 M multiply-accumulates
    found = cost("DARTS_V2", (3, 224, 224), **IMAGENET, auxiliary=True)
    assert (found.params, found.macs) == (4_718_752, 529_911_552)


@pytest.mark.parametrize(
    ("space", "params"),
    [
        (darts(), 1_930_618),
        (pc_darts(1), 1_930_618),
        (pc_darts(4), 299_578),
        (darts(partial_channels=4), 299_578),
    ],
    ids=["darts", "pc_darts_1", "pc_darts_4", "darts_4"],
)
def test_parameters_of_supernets(space: CellSpace, params: int) -> None:
    # specs/darts.md, 1.6 and 2.2: C = 16, 8 cells, CIFAR-10, without alphas
    with torch.device("meta"):
        supernet = space.supernet(Skeleton(channels=16, num_cells=8))
    assert sum(parameter.numel() for parameter in supernet.parameters()) == params
