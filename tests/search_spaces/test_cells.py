"""Discrete cells, number by number, and where drop path stands in them."""

import pytest
import torch
from torch import Tensor, nn

from nas.architecture import Genotype
from nas.space import DropPath, Skeleton, set_drop_path
from search_spaces.cells.decisions import CellDecisions
from search_spaces.cells.network import CellNetwork, DiscreteCell
from search_spaces.cells.published import PUBLISHED
from tests.contracts import EXACT, random_images
from tests.search_spaces import slow
from tests.search_spaces.spaces import darts


class Times(nn.Module):
    """An operator that multiplies by its name."""

    def __init__(self, factor: str) -> None:
        super().__init__()
        self.factor = float(factor)

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


def test_a_cell_sums_its_genes_and_concatenates_some_nodes() -> None:
    asked = []

    def operator(gene: tuple[str, int], node: int) -> nn.Module:
        asked.append((gene, node))
        return Times(gene[0])

    decisions = CellDecisions(
        nodes=((("2", 0), ("3", 1)), (("5", 2), ("7", 0)), (("11", 3), ("13", 3)), (("17", 1),)), concat=(5, 3, 4)
    )
    cell = DiscreteCell(nn.ModuleList([Times("1"), Times("100")]), decisions, operator)
    y = cell(torch.full((1, 1, 1, 1), 1.0), torch.full((1, 1, 1, 1), 0.1)).flatten()
    s0, s1 = 1.0, 10.0
    n2 = 2 * s0 + 3 * s1
    n3 = 5 * n2 + 7 * s0
    n4 = 24 * n3
    n5 = 17 * s1
    torch.testing.assert_close(y, torch.tensor([n5, n3, n4]))
    assert asked == [(gene, node) for node, genes in enumerate(decisions.nodes, start=2) for gene in genes]


def skips_and(operator: str) -> Genotype:
    """Node 2 skips from both inputs, node 3 skips from node 2 and has another operator on input 0."""
    cell = {
        "2": [["skip_connect", 0], ["skip_connect", 1]],
        "3": [["skip_connect", 2], [operator, 0]],
        "concat": [2, 3],
    }
    return Genotype(
        "darts", {}, {f"{kind}/{node}": genes for kind in ("normal", "reduce") for node, genes in cell.items()}
    )


def cells_of(genotype: Genotype) -> tuple[nn.Module, nn.Module, CellNetwork]:
    torch.manual_seed(0)
    network = darts().network(genotype, Skeleton(channels=4, num_cells=3)).double()
    assert isinstance(network, CellNetwork)
    return network.backbone.cells[0], network.backbone.cells[1], network


def test_skips_that_keep_the_size_are_never_dropped() -> None:
    normal, _, network = cells_of(skips_and("max_pool_3x3"))
    s0, s1 = random_images(32, 12, 6, 6), random_images(32, 12, 6, 6, seed=1)
    before = normal(s0, s1)
    set_drop_path(network, 1 - 1e-9)
    after = normal(s0, s1)
    assert torch.equal(after[:, :4], before[:, :4])
    assert torch.equal(after[:, 4:], before[:, :4])  # node 3 is node 2, and its pooling is dropped
    assert not torch.equal(before[:, 4:], before[:, :4])


def test_skips_that_halve_the_size_are_dropped() -> None:
    _, reduction, network = cells_of(skips_and("skip_connect"))
    s0, s1 = random_images(32, 12, 6, 6), random_images(32, 8, 6, 6, seed=1)
    assert reduction(s0, s1).ne(0).any()
    set_drop_path(network, 1 - 1e-9)
    assert not reduction(s0, s1).any()


@pytest.mark.parametrize("name", ["DARTS_V2", "PC_DARTS_cifar", "NASNet", "AmoebaNet"])
def test_drop_path_stands_behind_every_operator_but_the_identity(name: str) -> None:
    genotype = PUBLISHED[name]
    network = darts().network(genotype, Skeleton(channels=4, num_cells=5))
    for kind, cell in zip(("normal", "reduce", "normal", "reduce", "normal"), network.backbone.cells, strict=True):
        for number, node in enumerate(cell.nodes, start=2):
            for (operator, source), module in zip(genotype.decisions[f"{kind}/{number}"], node.operators, strict=True):
                if operator == "skip_connect" and (kind == "normal" or source > 1):
                    assert isinstance(module, nn.Identity)
                else:
                    assert [isinstance(part, DropPath) for part in module] == [False, True]
    assert {module.probability for module in network.modules() if isinstance(module, DropPath)} == {0.0}


def test_drop_path_acts_in_training_alone() -> None:
    *_, network = cells_of(PUBLISHED["DARTS_V2"])
    x = random_images(4, 3, 8, 8)
    network(x)
    for training in (True, False):
        network.train(training)
        with torch.no_grad():
            set_drop_path(network, 0.0)
            before = network.training_logits(x)[0]
            set_drop_path(network, 0.5)
            assert torch.equal(network.training_logits(x)[0], before) is not training


@pytest.mark.parametrize("probability", [0.0, 0.5])
def test_logits_of_training_are_those_of_the_network(probability: float) -> None:
    *_, network = cells_of(PUBLISHED["PC_DARTS_cifar"])
    set_drop_path(network, probability)
    x = random_images(3, 3, 8, 8)
    with torch.no_grad():
        torch.manual_seed(1)
        first = network(x)
        torch.manual_seed(1)
        (second,) = network.training_logits(x)
    assert torch.equal(first, second)


@pytest.mark.parametrize(("stem", "size"), [("cifar", 8), ("imagenet", 64)])
def test_images_do_not_see_each_other_in_evaluation(stem: str, size: int) -> None:
    network = darts().network(PUBLISHED["AmoebaNet"], Skeleton(channels=4, num_cells=4, stem=stem, auxiliary=True))
    for norm in slow.norms_of(network):
        assert norm.affine
        assert norm.track_running_stats
    x = random_images(3, 3, size, size)
    network.double()(x)
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(x)[1:2], network(x[1:2]), **EXACT)
