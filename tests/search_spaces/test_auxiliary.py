"""The auxiliary head: what it computes, where it stands, and that only training has it."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from nas.space import Skeleton
from search_spaces.cells.auxiliary import AuxiliaryHead
from search_spaces.cells.network import CellNetwork
from search_spaces.cells.published import PUBLISHED
from tests.contracts import EXACT, random_images
from tests.search_spaces import slow
from tests.search_spaces.spaces import darts


def network(**skeleton: object) -> CellNetwork:
    torch.manual_seed(0)
    sizes = {"channels": 4, "num_cells": 5, "auxiliary": True, **skeleton}
    built = darts().network(PUBLISHED["DARTS_V2"], Skeleton(**sizes))
    assert isinstance(built, CellNetwork)
    return built


def head_by_hand(head: AuxiliaryHead, pooled: Tensor) -> Tensor:
    """Everything behind the pooling."""
    (first, second), norms = slow.weights_of(head), slow.norms_of(head)
    y = slow.batch_norm(slow.convolution(pooled, first), norms[0]).clamp(min=0)
    y = torch.einsum("nihw,oihw->no", y, second)[:, :, None, None]
    y = slow.batch_norm(y, norms[1]) if len(norms) == 2 else y
    return y.clamp(min=0).flatten(1) @ head.classifier.weight.T + head.classifier.bias


def mean_of(x: Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    return x[:, :, rows[0] : rows[1], columns[0] : columns[1]].flatten(2).sum(dim=2) / (
        (rows[1] - rows[0]) * (columns[1] - columns[0])
    )


# windows of the two rows (or columns): the authors' 5x5 ones, or halves that share the middle where the size is odd
WINDOWS = {
    ("cifar", 8): [(0, 5), (3, 8)],
    ("imagenet", 7): [(0, 5), (2, 7)],
    ("cifar", 7): [(0, 4), (3, 7)],
    ("imagenet", 8): [(0, 4), (4, 8)],
    ("cifar", 4): [(0, 2), (2, 4)],
    ("cifar", 5): [(0, 3), (2, 5)],
    ("imagenet", 2): [(0, 1), (1, 2)],
    ("cifar", 1): [(0, 1), (0, 1)],
    ("cifar", 16): [(0, 8), (8, 16)],
}


@pytest.mark.parametrize(("stem", "size"), WINDOWS)
def test_the_head_on_maps_of_a_size(stem: str, size: int) -> None:
    torch.manual_seed(0)
    head = AuxiliaryHead(3, Skeleton(stem=stem, num_classes=4)).double()
    x = random_images(5, 3, size, size)
    windows = WINDOWS[stem, size]
    rows = [torch.stack([mean_of(x.clamp(min=0), r, c) for c in windows], dim=-1) for r in windows]
    assert_close(head(x), head_by_hand(head, torch.stack(rows, dim=-2)), **EXACT)


def test_a_map_that_is_not_square_is_halved_both_ways() -> None:
    torch.manual_seed(0)
    head = AuxiliaryHead(3, Skeleton(num_classes=4)).double()
    x = random_images(5, 3, 8, 4)
    rows = [torch.stack([mean_of(x.clamp(min=0), r, c) for c in [(0, 2), (2, 4)]], dim=-1) for r in [(0, 4), (4, 8)]]
    assert_close(head(x), head_by_hand(head, torch.stack(rows, dim=-2)), **EXACT)


def test_the_imagenet_head_has_no_second_norm() -> None:
    # specs/augmentation.md, 2.3: deliberately absent
    for stem, sizes in (("cifar", [128, 768]), ("imagenet", [128])):
        norms = slow.norms_of(AuxiliaryHead(8, Skeleton(stem=stem)))
        assert [norm.num_features for norm in norms] == sizes
        assert all(norm.affine and norm.track_running_stats for norm in norms)


@pytest.mark.parametrize(("num_cells", "at"), [(20, 13), (14, 9), (8, 5), (5, 3), (3, 2), (2, 1), (1, 0)])
def test_gradients_reach_the_cells_up_to_the_head_and_no_later_one(num_cells: int, at: int) -> None:
    # specs/darts.md, 1.5: cell 2L//3, 13 of 20 and 9 of 14
    built = network(num_cells=num_cells, channels=2)
    assert built.auxiliary_at == at
    _, auxiliary = built.training_logits(torch.randn(2, 3, 8, 8))
    auxiliary.square().sum().backward()
    reached = [any(p.grad is not None for p in cell.parameters()) for cell in built.backbone.cells]
    assert reached == [index <= at for index in range(num_cells)]
    assert built.backbone.classifier.weight.grad is None
    assert all(parameter.grad is not None for parameter in built.auxiliary_heads.parameters())


def test_the_head_reads_the_output_of_its_cell() -> None:
    built, x = network().double(), random_images(3, 3, 16, 16)
    logits, auxiliary = built.training_logits(x)
    features = built.backbone.features(x)
    assert_close(auxiliary, built.auxiliary_heads[0](features[3]), **EXACT)
    assert_close(logits, built.backbone.classifier(features[-1].mean(dim=(2, 3))), **EXACT)


def test_a_forward_pass_does_not_run_the_head() -> None:
    class Refusing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise AssertionError("the head was run")

    built, x = network(), torch.randn(2, 3, 8, 8)
    built.auxiliary_heads[0] = Refusing()
    for training in (True, False):
        built.train(training)(x)
    with pytest.raises(AssertionError, match="the head was run"):
        built.training_logits(x)


def test_a_checkpoint_with_the_head_loads_without_it() -> None:
    with_head, without = network().double(), network(auxiliary=False).double()
    assert len(without.training_logits(random_images(2, 3, 8, 8))) == 1
    keys = without.load_state_dict(with_head.state_dict(), strict=False)
    assert keys.missing_keys == []
    assert len(keys.unexpected_keys) == len(with_head.auxiliary_heads.state_dict())
    assert all(key.startswith("auxiliary_heads.0.") for key in keys.unexpected_keys)
    x = random_images(2, 3, 8, 8)
    assert torch.equal(with_head.eval()(x), without.eval()(x))
