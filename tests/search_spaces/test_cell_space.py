"""The choices, the settings and the pictures of the cell space."""

import pytest
import torch

from nas.architecture import ArchParameters, Edge, Genotype
from nas.space import Skeleton
from search_spaces.cells import CellSpace
from search_spaces.cells.published import PUBLISHED
from tests.contracts import draws
from tests.search_spaces.spaces import DARTS_OPERATORS, darts, pc_darts

PARAMETER_FREE = {"none", "max_pool_3x3", "avg_pool_3x3", "skip_connect"}


def test_the_choices_are_the_edges_in_the_authors_order() -> None:
    # specs/darts.md, 1.1: node by node, predecessors ascending, offsets 0, 2, 5, 9
    wanted = [f"{i}-{j}" for j in range(2, 6) for i in range(j)]
    assert [wanted.index(f"0-{j}") for j in range(2, 6)] == [0, 2, 5, 9]
    choices = darts().choices
    assert [choice.name for choice in choices] == [f"{kind}/{e}/op" for kind in ("normal", "reduce") for e in wanted]
    assert {choice.candidates for choice in choices} == {DARTS_OPERATORS}
    assert {choice.table for choice in choices[:14]} == {"normal/op"}
    assert {choice.table for choice in choices[14:]} == {"reduce/op"}


def test_weighed_inputs_add_a_choice_for_each_node() -> None:
    inputs = {choice.name: choice.candidates for choice in pc_darts().choices if choice.kind == "input"}
    assert inputs == {f"{kind}/{j}/input": tuple(range(j)) for kind in ("normal", "reduce") for j in range(2, 6)}


@pytest.mark.parametrize(("space", "count"), [(darts(), 224), (pc_darts(), 252)])
def test_the_number_of_alphas(space: CellSpace, count: int) -> None:
    # specs/darts.md, 1.6 and 2.2: 2 * 14 * 8, and 28 input weights more
    assert sum(alphas.numel() for alphas in ArchParameters(space.choices).parameters()) == count


def test_the_settings_in_a_genotype_rebuild_the_space() -> None:
    for space in (darts(), pc_darts(2, num_nodes=3), darts(num_nodes=2, inputs_per_node=1)):
        genotype = Genotype.from_json(draws(space, 1)[0].to_json())
        rebuilt = CellSpace(name=genotype.space, **genotype.settings)
        assert rebuilt.choices == space.choices
        assert draws(rebuilt, 3) == draws(space, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"operators": ["fly"]}, "there is no operator 'fly'; the operators are none, max_pool_3x3, "),
        ({"operators": ["none"]}, "space.operators is ['none']; give at least one operator besides 'none'"),
        ({"operators": []}, "space.operators is []; give at least one operator besides 'none'"),
        ({"operators": ["none", "none", "skip_connect"]}, "choice 'normal/0-2/op' names a candidate twice: "),
        ({"num_nodes": 0}, "space.num_nodes is 0; give at least 1"),
        ({"partial_channels": 0}, "space.partial_channels is 0; give at least 1"),
        ({"inputs_per_node": 0}, "space.inputs_per_node is 0; the first node has two inputs: give 1 or 2"),
        ({"inputs_per_node": 3}, "space.inputs_per_node is 3; the first node has two inputs: give 1 or 2"),
    ],
)
def test_settings_that_describe_no_cell(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        darts(**settings)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(("channels", "k"), [(6, 4), (4, 4), (2, 2)])
def test_channels_that_cannot_be_divided(channels: int, k: int) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        pc_darts(k).supernet(Skeleton(channels=channels))
    assert str(error.value) == (
        f"network.channels {channels} cannot be divided for space.partial_channels {k}; "
        f"give a multiple of {k} that is at least {2 * k}"
    )


def test_a_genotype_with_an_operator_that_is_not_there() -> None:
    genotype = Genotype("darts", {}, {**PUBLISHED["DARTS_V2"].decisions, "normal/2": [["fly", 0], ["skip_connect", 1]]})
    with pytest.raises(ValueError, match=r"^space 'darts' has no operator 'fly'; it has \['none', "):
        darts().selection(genotype)
    with pytest.raises(ValueError, match=r"^there is no operator 'fly'; the operators are none, "):
        darts().network(genotype, Skeleton())


@pytest.mark.parametrize(("name", "normal", "reduce"), [("DARTS_V1", 3, 8), ("DARTS_V2", 2, 8), ("NASNet", 5, 5)])
def test_the_statistics_count_operators_that_cannot_learn(name: str, normal: int, reduce: int) -> None:
    counts = {"parameter_free_operators/normal": normal, "parameter_free_operators/reduce": reduce}
    for kind in ("normal", "reduce"):
        genes = [
            gene
            for place, genes in PUBLISHED[name].decisions.items()
            if place[-1].isdigit() and kind in place
            for gene in genes
        ]
        assert sum(operator in PARAMETER_FREE for operator, _ in genes) == counts[f"parameter_free_operators/{kind}"]
    assert darts().statistics(PUBLISHED[name]) == counts


def test_the_pictures_show_the_genes_and_the_concatenation() -> None:
    decisions = {
        "normal/2": [["skip_connect", 1], ["sep_conv_3x3", 0]],
        "normal/3": [["dil_conv_3x3", 2], ["skip_connect", 0]],
        "normal/concat": [2, 3],
        "reduce/2": [["max_pool_3x3", 0], ["max_pool_3x3", 0]],
        "reduce/concat": [2],
    }
    normal, reduction = darts().graphs(Genotype("darts", {}, decisions))
    assert (normal.title, reduction.title) == ("normal cell", "reduction cell")
    assert normal.inputs == reduction.inputs == ("c_{k-2}", "c_{k-1}")
    assert (normal.nodes, reduction.nodes) == (("0", "1"), ("0",))
    assert normal.output == reduction.output == "c_{k}"
    assert normal.edges == (
        Edge("c_{k-1}", "0", "skip_connect"),
        Edge("c_{k-2}", "0", "sep_conv_3x3"),
        Edge("0", "1", "dil_conv_3x3"),
        Edge("c_{k-2}", "1", "skip_connect"),
        Edge("0", "c_{k}"),
        Edge("1", "c_{k}"),
    )
    assert reduction.edges == (2 * (Edge("c_{k-2}", "0", "max_pool_3x3"),)) + (Edge("0", "c_{k}"),)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("NASNet", "the normal cell has 5 nodes and concatenates"), ("AmoebaNet", "the normal cell has 5 nodes")],
)
def test_genotypes_of_other_cells_are_refused_where_the_supernet_has_no_place_for_them(name: str, wanted: str) -> None:
    space = darts()
    with pytest.raises(ValueError, match=wanted):
        space.selection(PUBLISHED[name])
    with pytest.raises(ValueError, match=wanted):
        space.inherited(space.supernet(Skeleton(4, 2)), PUBLISHED[name])


def test_an_input_that_is_read_twice_is_refused() -> None:
    decisions = {**PUBLISHED["DARTS_V2"].decisions, "normal/2": [["sep_conv_3x3", 0], ["skip_connect", 0]]}
    with pytest.raises(ValueError, match="reads an input twice at one node"):
        darts().selection(Genotype("darts", {}, decisions))


def test_partial_channels_without_input_weights_have_no_mixture_that_is_a_genotype() -> None:
    space = darts(partial_channels=2)
    with pytest.raises(ValueError, match=r"it needs space\.edge_normalization=true"):
        space.selection(PUBLISHED["DARTS_V2"])


def test_an_inherited_auxiliary_head_has_the_type_of_the_supernet() -> None:
    space, skeleton = darts(), Skeleton(4, 2, auxiliary=True)
    network = space.inherited(space.supernet(skeleton).double(), space.sample(torch.Generator()))
    logits = network.training_logits(torch.randn(2, 3, 16, 16, dtype=torch.float64))
    assert [one.dtype for one in logits] == [torch.float64, torch.float64]


def test_looking_at_a_genotype_draws_no_random_numbers() -> None:
    space = darts()
    before = torch.get_rng_state()
    space.statistics(PUBLISHED["DARTS_V2"])
    space.graphs(PUBLISHED["DARTS_V2"])
    assert torch.equal(torch.get_rng_state(), before)
