"""The cell spaces under the contract of every search space."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from nas.architecture import Choice
from nas.space import Skeleton
from search_spaces.cells import CellSpace
from search_spaces.operators import EVALUATION, OPERATORS, Normalization
from tests.contracts import OperatorContract, SpaceContract, random_images
from tests.search_spaces.spaces import DARTS_OPERATORS, darts, pc_darts


def scaled_tanh(channels: int, stride: int, norm: Normalization) -> nn.Module:
    """A user's own operator."""
    return nn.Sequential(nn.Tanh(), nn.Conv2d(channels, channels, 3, stride, 1), norm(channels))


class TestOwnOperator(OperatorContract):
    @pytest.fixture
    def operator(self) -> object:
        return scaled_tanh


class CellSpaceContract(SpaceContract):
    """A uniform genotype keeps an edge into node j with probability inputs_per_node / j, with any operator."""

    def shares(self, space: CellSpace, choice: Choice) -> Sequence[float]:
        if choice.kind == "input":
            return [space.inputs_per_node / len(choice.candidates)] * len(choice.candidates)
        kept = space.inputs_per_node / int(choice.name.split("/")[1].split("-")[1])
        each = kept / len([operator for operator in choice.candidates if operator != "none"])
        return [1 - kept if operator == "none" else each for operator in choice.candidates]


class TestDarts(CellSpaceContract):
    @pytest.fixture
    def space(self) -> CellSpace:
        return darts()


class TestPartialChannels(CellSpaceContract):
    @pytest.fixture(params=[pytest.param(2, marks=pytest.mark.slow), 4])
    def space(self, request: pytest.FixtureRequest) -> CellSpace:
        return pc_darts(request.param, num_nodes=3)

    @pytest.fixture
    def skeleton(self) -> Skeleton:
        return Skeleton(channels=8, num_cells=3)


class TestOddSizes(CellSpaceContract):
    @pytest.fixture(params=[pytest.param(1, marks=pytest.mark.slow), 2])
    def space(self, request: pytest.FixtureRequest) -> CellSpace:
        return pc_darts(request.param, num_nodes=2)

    @pytest.fixture
    def skeleton(self) -> Skeleton:
        return Skeleton(channels=4, num_cells=4, num_classes=3, in_channels=1)

    @pytest.fixture
    def images(self) -> Tensor:
        return random_images(2, 1, 15, 15)


class TestWithoutNone(CellSpaceContract):
    @pytest.fixture(params=[False, True], ids=["equal_inputs", "weighed_inputs"])
    def space(self, request: pytest.FixtureRequest) -> CellSpace:
        return darts(operators=DARTS_OPERATORS[1:5], num_nodes=3, edge_normalization=request.param)


class TestOneInputPerNode(CellSpaceContract):
    @pytest.fixture(params=[False, True], ids=["equal_inputs", "weighed_inputs"])
    def space(self, request: pytest.FixtureRequest) -> CellSpace:
        return darts(num_nodes=2, inputs_per_node=1, edge_normalization=request.param)


class TestOwnOperators(CellSpaceContract):
    @pytest.fixture
    def space(self) -> CellSpace:
        return darts(
            operators=["sep_conv_7x7", "scaled_tanh", "none", "conv_7x1_1x7"],
            num_nodes=2,
            extra_operators={"scaled_tanh": scaled_tanh},
        )


class TestImagenetStem(CellSpaceContract):
    @pytest.fixture
    def space(self) -> CellSpace:
        return darts(num_nodes=2)

    @pytest.fixture
    def skeleton(self) -> Skeleton:
        return Skeleton(channels=4, num_cells=3, stem="imagenet")

    @pytest.fixture
    def images(self) -> Tensor:
        return random_images(4, 3, 40, 40)


def test_an_own_operator_may_stand_for_a_known_one() -> None:
    space = darts(num_nodes=1, extra_operators={"skip_connect": scaled_tanh})
    assert space.catalogue["skip_connect"] is scaled_tanh
    assert OPERATORS["skip_connect"](2, 1, EVALUATION)(torch.ones(1)).item() == 1
