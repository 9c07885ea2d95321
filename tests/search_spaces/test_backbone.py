"""The frame that cells stand in."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from nas.space import Skeleton
from search_spaces.cells.backbone import CellBackbone, CellPlace, Stem
from search_spaces.operators import EVALUATION, SEARCH, FactorizedReduce, Normalization
from tests.contracts import EXACT, random_images
from tests.search_spaces import slow

NODES = {"normal": 3, "reduce": 2}


class StubCell(nn.Module):
    """Preprocesses for real, adds its inputs up and repeats the sum; halves like a cell."""

    def __init__(self, place: CellPlace) -> None:
        super().__init__()
        self.place = place
        self.preprocess = place.preprocessing(SEARCH)

    def forward(self, s0: Tensor, s1: Tensor, *arguments: object) -> Tensor:
        assert (s0.shape[1], s1.shape[1]) == self.place.in_channels
        first, second = self.preprocess[0](s0), self.preprocess[1](s1)
        assert first.shape == second.shape == (len(s1), self.place.channels, *s1.shape[2:])
        total = (first + second)[:, :, :: self.place.stride, :: self.place.stride]
        return total.repeat(1, NODES[self.place.kind], 1, 1)


def backbone(skeleton: Skeleton, make_cell: Callable[[CellPlace], nn.Module] = StubCell) -> CellBackbone:
    torch.manual_seed(0)
    return CellBackbone(skeleton, NODES, make_cell, SEARCH).double()


@pytest.mark.parametrize("num_cells", range(1, 21))
@pytest.mark.parametrize(("stem", "size", "in_cells"), [("cifar", 9, 9), ("imagenet", 33, 5)])
def test_reductions_halve_the_image_and_double_the_channels(
    num_cells: int, stem: str, size: int, in_cells: int
) -> None:
    skeleton = Skeleton(channels=4, num_cells=num_cells, stem=stem)
    network = backbone(skeleton)
    places = [cell.place for cell in network.cells]
    reductions = {math.floor(num_cells / 3), math.floor(2 * num_cells / 3)}
    assert [place.kind for place in places] == ["reduce" if i in reductions else "normal" for i in range(num_cells)]
    with torch.no_grad():
        features = network.features(random_images(2, 3, size, size))
    for index, (place, feature) in enumerate(zip(places, features, strict=True)):
        passed = len([reduction for reduction in reductions if reduction <= index])
        assert place.channels == 4 * 2**passed
        assert place.after_reduction == (index - 1 in reductions or (index == 0 and stem == "imagenet"))
        assert place.stride == (2 if index in reductions else 1)
        assert network.out_channels[index] == feature.shape[1] == NODES[place.kind] * place.channels
        assert feature.shape[2] == feature.shape[3] == math.ceil(in_cells / 2**passed)


def test_the_places_of_the_darts_evaluation_network() -> None:
    # specs/darts.md, 1.5: 20 cells reduce at 6 and 13, 14 cells at 4 and 9; C = 36
    for num_cells, wanted in ((20, [6, 13]), (14, [4, 9]), (8, [2, 5])):
        cells = backbone(Skeleton(channels=36, num_cells=num_cells)).cells
        assert [index for index, cell in enumerate(cells) if cell.place.kind == "reduce"] == wanted
        assert cells[-1].place.channels == 144


def test_a_cell_sees_the_two_cells_before_it() -> None:
    seen = []

    class Recorder(StubCell):
        def forward(self, s0: Tensor, s1: Tensor, *arguments: object) -> Tensor:
            y = super().forward(s0, s1)
            seen.append((s0, s1, arguments, y))
            return y

    network, x = backbone(Skeleton(channels=2, num_cells=5), Recorder), random_images(2, 3, 8, 8)
    network(x, "one", 2)
    outputs = [*network.stem(x), *(y for *_, y in seen)]
    for index, (s0, s1, arguments, _) in enumerate(seen):
        assert arguments == ("one", 2)
        assert torch.equal(s0, outputs[index])
        assert torch.equal(s1, outputs[index + 1])


def test_logits_are_linear_in_the_mean_of_the_last_cell() -> None:
    network, x = backbone(Skeleton(channels=2, num_cells=3, num_classes=7)), random_images(2, 3, 8, 8)
    feature = network.features(x)[-1]
    means = feature.sum(dim=3).sum(dim=2) / (feature.shape[2] * feature.shape[3])
    wanted = means @ network.classifier.weight.T + network.classifier.bias
    assert wanted.shape == (2, 7)
    assert_close(network(x), wanted, **EXACT)


@pytest.mark.parametrize("norm", [SEARCH, EVALUATION], ids=["search", "evaluation"])
def test_the_norm_of_the_stem_is_always_learned(norm: Normalization) -> None:
    for stem, count in (("cifar", 1), ("imagenet", 3)):
        norms = slow.norms_of(CellBackbone(Skeleton(channels=4, stem=stem), NODES, StubCell, norm).stem)
        assert [layer.affine for layer in norms] == [True] * count
        assert [layer.track_running_stats for layer in norms] == [norm.running] * count


def test_the_cifar_stem_is_one_convolution_given_twice() -> None:
    torch.manual_seed(0)
    stem, x = Stem(Skeleton(channels=2, in_channels=3), EVALUATION).double(), random_images(2, 3, 5, 5)
    (weight,) = slow.weights_of(stem)
    wanted = slow.batch_norm(slow.convolution(x, weight, padding=(1, 1)), slow.norms_of(stem)[0])
    assert wanted.shape == (2, 6, 5, 5)
    for output in stem(x):
        assert_close(output, wanted, **EXACT)


@pytest.mark.parametrize("size", [16, 13])
def test_the_imagenet_stem_gives_a_quarter_and_an_eighth(size: int) -> None:
    torch.manual_seed(0)
    stem, x = Stem(Skeleton(channels=4, stem="imagenet"), EVALUATION).double(), random_images(2, 3, size, size)
    weights, norms = slow.weights_of(stem), slow.norms_of(stem)
    assert [tuple(weight.shape) for weight in weights] == [(2, 3, 3, 3), (4, 2, 3, 3), (4, 4, 3, 3)]
    half, quarter, eighth = (
        lambda y, i=i: slow.batch_norm(slow.convolution(y, weights[i], stride=(2, 2), padding=(1, 1)), norms[i])
        for i in range(3)
    )
    wanted = quarter(half(x).clamp(min=0))
    first, second = stem(x)
    assert first.shape[2] == math.ceil(size / 4)
    assert second.shape[2] == math.ceil(size / 8)
    assert_close(first, wanted, **EXACT)
    assert_close(second, eighth(wanted.clamp(min=0)), **EXACT)


def test_the_first_input_is_reduced_behind_a_reduction() -> None:
    for after_reduction in (True, False):
        first, second = CellPlace("normal", 4, (6, 8), after_reduction).preprocessing(EVALUATION)
        assert isinstance(first, FactorizedReduce) == after_reduction
        x0, x1 = (
            random_images(2, 6, 8, 8),
            random_images(2, 8, 4 if after_reduction else 8, 4 if after_reduction else 8),
        )
        assert first.double()(x0).shape == second.double()(x1).shape
