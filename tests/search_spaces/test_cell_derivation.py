"""From alphas to cells."""

import pytest
import torch
from torch import Tensor

from nas.architecture import ArchParameters, ChoiceTables, Genotype, Mixture
from nas.relaxation import Softmax
from search_spaces.cells import CellSpace
from search_spaces.cells.published import PUBLISHED
from tests.search_spaces.spaces import DARTS_OPERATORS, darts, pc_darts

FOUR_NODES = [name for name in PUBLISHED if name not in ("NASNet", "AmoebaNet")]
"""The others repeat inputs and concatenate some nodes only: no alphas lead to them."""


def derived(space: CellSpace, alphas: ArchParameters) -> Genotype:
    return space.derive(alphas.mixture(Softmax().mean))


def set_alpha(alphas: ArchParameters, name: str, index: int, value: float) -> None:
    table, row = alphas.layout.position(name)
    alphas.tables[table].data[row, index] = value


def alphas_of(genotype: Genotype, space: CellSpace) -> ArchParameters:
    """Noise, with an alpha of 5 for the first gene of each node and one of 2 for the second."""
    alphas = ArchParameters(space.choices, scale=0.1, generator=torch.Generator().manual_seed(0))
    for place, genes in genotype.decisions.items():
        kind, node = place.split("/")
        if node != "concat":
            for value, (operator, source) in zip((5.0, 2.0), genes, strict=True):
                set_alpha(alphas, f"{kind}/{source}-{node}/op", DARTS_OPERATORS.index(operator), value)
    return alphas


def shift(alphas: Tensor, seed: int) -> Tensor:
    """Alphas with a constant added to each row."""
    return alphas + 3 * torch.randn(len(alphas), 1, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", FOUR_NODES)
@pytest.mark.parametrize("space", [darts(), pc_darts()], ids=["darts", "pc_darts"])
def test_alphas_made_for_a_published_cell_lead_to_it(name: str, space: CellSpace) -> None:
    published = PUBLISHED[name]
    found = derived(space, alphas_of(published, space))
    assert found.space == space.name
    assert list(found.decisions) == [*published.decisions]
    for place, genes in published.decisions.items():
        assert sorted(map(str, found.decisions[place])) == sorted(map(str, genes))
    assert found.decisions == published.decisions  # the first gene of a node has the larger weight here


def test_none_is_never_kept() -> None:
    space = darts()
    alphas = alphas_of(PUBLISHED["DARTS_V2"], space)
    for choice in space.choices:
        set_alpha(alphas, choice.name, 0, 20.0)
    assert (alphas.mixture(Softmax().mean).tables["normal/op"][:, 0] > 0.99).all()
    assert derived(space, alphas).decisions == PUBLISHED["DARTS_V2"].decisions


def test_an_edge_that_prefers_none_scores_low() -> None:
    """Its other weights are what none has left, so `none` is in the denominator; the paper's softmax is over all."""
    space = darts(num_nodes=2)
    alphas = ArchParameters(space.choices, scale=0.0)
    for source, (conv, none) in enumerate([(3.0, 5.0), (1.0, 0.0), (2.0, 0.0)]):
        set_alpha(alphas, f"normal/{source}-3/op", 4, conv)
        set_alpha(alphas, f"normal/{source}-3/op", 0, none)
    # weights of sep_conv_3x3: e^3 / (e^3 + e^5 + 6) = 0.115, e / (e + 7) = 0.280, e^2 / (e^2 + 7) = 0.514
    assert derived(space, alphas).decisions["normal/3"] == [["sep_conv_3x3", 2], ["sep_conv_3x3", 1]]


@pytest.mark.parametrize("space", [darts(), pc_darts()], ids=["darts", "pc_darts"])
def test_a_constant_added_to_the_alphas_of_an_edge_changes_nothing(space: CellSpace) -> None:
    for seed in range(20):
        alphas = ArchParameters(space.choices, scale=1.0, generator=torch.Generator().manual_seed(seed)).double()
        shifted = alphas.mixture(lambda table, seed=seed: Softmax().mean(shift(table, seed)))
        assert space.derive(shifted) == derived(space, alphas)


@pytest.mark.parametrize("space", [darts(), pc_darts()], ids=["darts", "pc_darts"])
def test_ties_go_to_the_first_operator_and_the_lower_input(space: CellSpace) -> None:
    found = derived(space, ArchParameters(space.choices, scale=0.0))
    for place, genes in found.decisions.items():
        assert genes == ([2, 3, 4, 5] if place.endswith("concat") else [["max_pool_3x3", 0], ["max_pool_3x3", 1]])


def test_genes_come_in_the_order_of_their_scores() -> None:
    space = darts()
    for seed in range(20):
        alphas = ArchParameters(space.choices, scale=1.0, generator=torch.Generator().manual_seed(seed))
        mixture = alphas.mixture(Softmax().mean)
        for place, genes in space.derive(mixture).decisions.items():
            kind, node = place.split("/")
            if node == "concat":
                continue
            rows = {source: mixture[f"{kind}/{source}-{node}/op"][1:] for source in range(int(node))}
            best = sorted(rows, key=lambda source: rows[source].max().item(), reverse=True)[:2]
            assert genes == [[DARTS_OPERATORS[1 + int(rows[source].argmax())], source] for source in best]


def by_hand(space: CellSpace, inputs: list[float]) -> Mixture:
    """Node 3 of the normal cell: its best operators weigh 0.5, 0.4, 0.3; its inputs as given. The rest is equal."""
    layout = ChoiceTables(space.choices)
    tables = {name: torch.full(layout.shape(name), 1 / layout.shape(name)[1]) for name in layout.rows}
    for source, best in enumerate((0.5, 0.4, 0.3)):
        row = layout.position(f"normal/{source}-3/op")[1]
        tables["normal/op"][row] = torch.tensor([0.1, *[(0.9 - best) / 6] * 3, best, *[(0.9 - best) / 6] * 3])
    if space.edge_normalization:
        tables["normal/3/input"] = torch.tensor([inputs])
    return Mixture(layout, tables)


def test_the_weight_of_an_input_counts() -> None:
    weights = [0.2, 0.3, 0.5]  # products: 0.10, 0.12, 0.15
    assert pc_darts(num_nodes=2).derive(by_hand(pc_darts(num_nodes=2), weights)).decisions["normal/3"] == [
        ["sep_conv_3x3", 2],
        ["sep_conv_3x3", 1],
    ]
    assert darts(num_nodes=2).derive(by_hand(darts(num_nodes=2), weights)).decisions["normal/3"] == [
        ["sep_conv_3x3", 0],
        ["sep_conv_3x3", 1],
    ]


def test_equal_input_weights_change_nothing() -> None:
    plain, weighed = darts(), pc_darts()
    for seed in range(20):
        alphas = ArchParameters(plain.choices, scale=1.0, generator=torch.Generator().manual_seed(seed))
        equal = ArchParameters(weighed.choices, scale=0.0)
        for name, table in alphas.tables.items():
            equal.tables[name].data.copy_(table.data)
        assert derived(weighed, equal).decisions == derived(plain, alphas).decisions


def test_one_input_per_node_keeps_the_best() -> None:
    space = darts(num_nodes=2, inputs_per_node=1)
    assert space.derive(by_hand(space, [])).decisions["normal/3"] == [["sep_conv_3x3", 0]]
