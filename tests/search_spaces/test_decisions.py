"""Cell decisions and the genotypes that hold them."""

from typing import Any

import pytest

from nas.architecture import Genotype
from search_spaces.cells.decisions import MOST_GENES, CellDecisions, from_genotype, to_genotype

CELL = CellDecisions(nodes=((("a", 0), ("b", 1)), (("c", 2),)), concat=(3, 2))
OTHER = CellDecisions(nodes=((("a", 1), ("a", 1)),), concat=(2,))
DECISIONS: dict[str, Any] = {
    "normal/2": [["a", 0], ["b", 1]],
    "normal/3": [["c", 2]],
    "normal/concat": [3, 2],
    "reduce/2": [["a", 1], ["a", 1]],
    "reduce/concat": [2],
}


def test_a_genotype_holds_both_cells() -> None:
    genotype = to_genotype("s", {"x": 1}, {"normal": CELL, "reduce": OTHER})
    assert genotype == Genotype("s", {"x": 1}, DECISIONS)
    assert list(genotype.decisions) == list(DECISIONS)
    assert from_genotype(genotype) == {"normal": CELL, "reduce": OTHER}
    assert dict(genotype.decisions) == DECISIONS


@pytest.mark.parametrize(
    ("nodes", "concat", "message"),
    [
        ((), (2,), "a cell needs at least one node and every node at least one (operator, input) pair"),
        (((),), (2,), "a cell needs at least one node and every node at least one (operator, input) pair"),
        (((("a", 2),),), (2,), "('a', 2) of node 2 reads a node that is not there yet; its inputs are 0 to 1"),
        (((("a", -1),),), (2,), "('a', -1) of node 2 reads a node that is not there yet; its inputs are 0 to 1"),
        (
            ((("a", 0),), (("b", 3),)),
            (2,),
            "('b', 3) of node 3 reads a node that is not there yet; its inputs are 0 to 2",
        ),
        (((("a", 0),),), (), "a cell concatenates some of its nodes 2 to 2; this one has []"),
        (((("a", 0),),), (2, 3), "a cell concatenates some of its nodes 2 to 2; this one has [2, 3]"),
        (((("a", 0),),), (1,), "a cell concatenates some of its nodes 2 to 2; this one has [1]"),
    ],
)
def test_what_is_no_cell(nodes: tuple[tuple[tuple[str, int], ...], ...], concat: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        CellDecisions(nodes, concat)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normal/concat": None}, "normal/concat is None; give a list"),
        ({"normal/concat": ["2"]}, "normal/concat is ['2']; give a list of node numbers such as [2, 3, 4, 5]"),
        ({"normal/concat": [True]}, "normal/concat is [True]; give a list of node numbers such as [2, 3, 4, 5]"),
        ({"normal/2": "conv"}, "normal/2 is 'conv'; give a list"),
        ({"normal/2": [["a"]]}, "normal/2 holds ['a']; give [operator, input] pairs such as ['sep_conv_3x3', 0]"),
        ({"normal/2": [["a", "0"]]}, "normal/2 holds ['a', '0']; give [operator, input] pairs such as"),
        ({"normal/2": [["a", True]]}, "normal/2 holds ['a', True]; give [operator, input] pairs such as"),
        ({"normal/2": [3]}, "normal/2 holds 3; give [operator, input] pairs such as ['sep_conv_3x3', 0]"),
        ({"normal/2": []}, "a cell needs at least one node and every node at least one (operator, input) pair"),
        (
            {"normal/5": [["a", 0]]},
            "'normal/5' is not a decision of a cell genotype; those are normal/2, normal/concat",
        ),
        (
            {"conv1/width": 16},
            "'conv1/width' is not a decision of a cell genotype; those are normal/2, normal/concat, …",
        ),
    ],
)
def test_decisions_that_are_not_those_of_cells(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        from_genotype(Genotype("s", {}, {**DECISIONS, **changes}))
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("place", ["normal/concat", "reduce/concat"])
def test_a_cell_that_is_missing(place: str) -> None:
    left = {key: value for key, value in DECISIONS.items() if key != place}
    with pytest.raises(ValueError, match=f"^the genotype has no '{place}'; a cell genotype describes a normal and a "):
        from_genotype(Genotype("s", {}, left))


def test_a_cell_that_would_take_minutes_to_build() -> None:
    genes = tuple((("skip_connect", 0), ("skip_connect", 1)) for _ in range(MOST_GENES // 2))
    CellDecisions(genes, (2,))
    with pytest.raises(ValueError, match=r"^a cell has at most 64 \(operator, input\) pairs; this one has more$"):
        CellDecisions((*genes, genes[0]), (2,))


def test_a_node_is_concatenated_once() -> None:
    with pytest.raises(ValueError, match=r"^a cell concatenates a node once; this one has \[2, 2, "):
        CellDecisions(((("skip_connect", 0),),), (2,) * 100_000)
