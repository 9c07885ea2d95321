"""The decisions of a cell genotype: which operators each node sums, and which nodes a cell returns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas.architecture import Genotype
from nas.reading import shown

KINDS = ("normal", "reduce")
MOST_GENES = 64
"""In one cell: six times those of the largest published ones, and still a network that is built in seconds."""

Gene = tuple[str, int]
"""(operator, input): inputs 0 and 1 are the two previous cells, 2 is the first node."""


@dataclass(frozen=True)
class CellDecisions:
    """One cell: the genes of every node, which are applied and summed, and the nodes whose outputs are concatenated.

    Raises:
        ValueError: no nodes, a node without genes, a gene whose input is not an earlier node, or a concatenation of
            something that is no node.
    """

    nodes: tuple[tuple[Gene, ...], ...]
    concat: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.nodes or not all(self.nodes):
            raise ValueError("a cell needs at least one node and every node at least one (operator, input) pair")
        if sum(map(len, self.nodes)) > MOST_GENES:
            raise ValueError(f"a cell has at most {MOST_GENES} (operator, input) pairs; this one has more")
        for number, genes in enumerate(self.nodes, start=2):
            for operator, source in genes:
                if not 0 <= source < number:
                    raise ValueError(
                        f"{shown((operator, source))} of node {number} reads a node that is not there yet; "
                        f"its inputs are 0 to {number - 1}"
                    )
        last = len(self.nodes) + 1
        if not self.concat or not all(2 <= node <= last for node in self.concat):
            raise ValueError(
                f"a cell concatenates some of its nodes 2 to {last}; this one has {shown(list(self.concat))}"
            )
        if len(set(self.concat)) != len(self.concat):
            raise ValueError(f"a cell concatenates a node once; this one has {shown(list(self.concat))}")


def to_genotype(space: str, settings: Mapping[str, Any], cells: Mapping[str, CellDecisions]) -> Genotype:
    """The genotype with decisions `KIND/NODE` (lists of genes) and `KIND/concat` for each kind of cell."""
    decisions: dict[str, Any] = {}
    for kind in KINDS:
        for number, genes in enumerate(cells[kind].nodes, start=2):
            decisions[f"{kind}/{number}"] = [list(gene) for gene in genes]
        decisions[f"{kind}/concat"] = list(cells[kind].concat)
    return Genotype(space, settings, decisions)


def from_genotype(genotype: Genotype) -> dict[str, CellDecisions]:
    """Both cells of a genotype, checked.

    Raises:
        ValueError: decisions that are not those of cells; the message names the first that is wrong.
    """
    left = dict(genotype.decisions)
    cells = {kind: _take_cell(kind, left) for kind in KINDS}
    if left:
        raise ValueError(
            f"{shown(next(iter(left)))} is not a decision of a cell genotype; those are normal/2, normal/concat, …"
        )
    return cells


def _take_cell(kind: str, decisions: dict[str, Any]) -> CellDecisions:
    nodes: list[tuple[Gene, ...]] = []
    while f"{kind}/{len(nodes) + 2}" in decisions:
        place = f"{kind}/{len(nodes) + 2}"
        nodes.append(tuple(_gene(place, gene) for gene in _list(place, decisions.pop(place))))
    place = f"{kind}/concat"
    if place not in decisions:
        raise ValueError(f"the genotype has no {place!r}; a cell genotype describes a normal and a reduction cell")
    concat = _list(place, decisions.pop(place))
    if not all(type(node) is int for node in concat):
        raise ValueError(f"{place} is {shown(concat)}; give a list of node numbers such as [2, 3, 4, 5]")
    return CellDecisions(tuple(nodes), tuple(concat))


def _list(place: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{place} is {shown(value)}; give a list")
    return value


def _gene(place: str, gene: Any) -> Gene:
    if not (isinstance(gene, list) and len(gene) == 2 and type(gene[0]) is str and type(gene[1]) is int):
        raise ValueError(f"{place} holds {shown(gene)}; give [operator, input] pairs such as ['sep_conv_3x3', 0]")
    return gene[0], gene[1]
