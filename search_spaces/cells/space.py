"""The cell space of DARTS, with PC-DARTS' two additions as settings."""

import copy
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import nn

from nas.architecture import BarChart, Choice, ChoiceTables, Edge, Genotype, Graph, Mixture, selection
from nas.costs import CostModel, Seconds
from nas.reading import shown
from nas.space import DiscreteNetwork, SearchSpace, Skeleton, best_candidate, largest
from nas.supernet import MixedModule, MixedOp, PartialChannels
from search_spaces.cells.backbone import CellBackbone, CellPlace
from search_spaces.cells.decisions import KINDS, MOST_GENES, CellDecisions, Gene, from_genotype, to_genotype
from search_spaces.cells.network import CellNetwork, DiscreteCell
from search_spaces.cells.supernet import SearchCell, input_choice, op_choice
from search_spaces.operators import (
    BATCHED_SEARCH,
    EVALUATION,
    NONE,
    OPERATORS,
    SEARCH,
    Operator,
    is_parameter_free,
)

BATCHED = "batched"
EXECUTIONS = (BATCHED, "edge_by_edge")
MOST_NODES = MOST_GENES // 2


class CellSpace(SearchSpace):
    """Two cells, normal and reduction, whose nodes choose inputs and operators (DARTS, Liu et al., 2019).

    A node sums one mixed operation for each earlier node; derivation keeps the `inputs_per_node` best of them, each
    with its best operator, `none` never. `partial_channels` k > 1 sends 1/k of the channels through the mixture and
    `edge_normalization` weighs the inputs of a node (PC-DARTS, Xu et al., 2020); the weight of an input then counts in
    derivation too. `extra_operators` are a user's own, by name; `operators` may then list them.

    `execution` says how the supernet runs, `batched` or `edge_by_edge`: the same mathematics at another speed.
    `recompute` trades time for memory: a supernet keeps the outputs of its cells only, and the backward pass runs each
    cell again. Neither is part of a genotype.

    Raises:
        ValueError: an unknown operator, no operator but `none`, or settings that describe no cell or no way to run it.
    """

    def __init__(
        self,
        *,
        name: str,
        operators: Sequence[str],
        num_nodes: int = 4,
        inputs_per_node: int = 2,
        partial_channels: int = 1,
        edge_normalization: bool = False,
        extra_operators: Mapping[str, Operator] | None = None,
        execution: str = BATCHED,
        recompute: bool = False,
    ) -> None:
        self.name = name
        self.operators = tuple(operators)
        self.num_nodes = num_nodes
        self.inputs_per_node = inputs_per_node
        self.partial_channels = partial_channels
        self.edge_normalization = edge_normalization
        self.execution = execution
        self.recompute = recompute
        self.catalogue = {**OPERATORS, **(extra_operators or {})}
        for operator in self.operators:
            self._operator(operator)
        if execution not in EXECUTIONS:
            raise ValueError(f"space.execution is {execution!r}; give {' or '.join(EXECUTIONS)}")
        if not isinstance(recompute, bool):
            raise ValueError(f"space.recompute is {recompute!r}; give true or false")
        self._norm = BATCHED_SEARCH if execution == BATCHED else SEARCH
        if partial_channels < 1:
            raise ValueError(f"space.partial_channels is {partial_channels}; give at least 1")
        if not 1 <= num_nodes <= MOST_NODES:
            raise ValueError(f"space.num_nodes is {num_nodes}; give at least 1 and at most {MOST_NODES}")
        if inputs_per_node not in (1, 2):
            raise ValueError(f"space.inputs_per_node is {inputs_per_node}; the first node has two inputs: give 1 or 2")
        self.kept_operators = [operator for operator in self.operators if operator != NONE]
        if not self.kept_operators:
            raise ValueError(f"space.operators is {list(self.operators)}; give at least one operator besides {NONE!r}")
        self._choices = tuple(choice for kind in KINDS for choice in self._cell_choices(kind))
        self._layout = ChoiceTables(self._choices)

    @property
    def choices(self) -> Sequence[Choice]:
        return self._choices

    @property
    def nodes(self) -> range:
        """The numbers of a cell's nodes; 0 and 1 are its inputs."""
        return range(2, self.num_nodes + 2)

    def supernet(self, skeleton: Skeleton) -> nn.Module:
        channels, k = skeleton.channels, self.partial_channels
        if k > 1 and (channels % k or channels < 2 * k):
            raise ValueError(
                f"network.channels {channels} cannot be divided for space.partial_channels {k}; "
                f"give a multiple of {k} that is at least {2 * k}"
            )
        return CellBackbone(skeleton, dict.fromkeys(KINDS, self.num_nodes), self._search_cell, self._norm)

    def compiled_parts(self, supernet: nn.Module) -> Sequence[nn.Module]:
        return [cast(SearchCell, cell).compiled_part for cell in cast(CellBackbone, supernet).cells]

    def derive(self, mixture: Mixture) -> Genotype:
        return self._genotype({kind: [self._best_genes(kind, node, mixture) for node in self.nodes] for kind in KINDS})

    def selection(self, genotype: Genotype) -> Mixture:
        cells = self._fitting_cells(genotype)
        if self.partial_channels > 1 and not self.edge_normalization:
            raise ValueError(
                f"with space.partial_channels {self.partial_channels} the bypass of a dropped edge goes on, so no "
                "mixture of operators alone is a genotype; it needs space.edge_normalization=true"
            )
        chosen: dict[str, tuple[str | int, ...]] = {}
        for kind in KINDS:
            for node, genes in zip(self.nodes, cells[kind].nodes, strict=True):
                kept = {source: operator for operator, source in genes}
                for source in range(node):
                    dropped = (NONE,) if NONE in self.operators else ()
                    chosen[op_choice(kind, source, node)] = (kept[source],) if source in kept else dropped
                if self.edge_normalization:
                    chosen[input_choice(kind, node)] = tuple(kept)
        return selection(self._layout, chosen)

    def sample(self, generator: torch.Generator) -> Genotype:
        def genes(node: int) -> tuple[Gene, ...]:
            sources = torch.randperm(node, generator=generator)[: self.inputs_per_node].sort().values.tolist()
            picks = torch.randint(len(self.kept_operators), (len(sources),), generator=generator).tolist()
            return tuple((self.kept_operators[pick], source) for pick, source in zip(picks, sources, strict=True))

        return self._genotype({kind: [genes(node) for node in self.nodes] for kind in KINDS})

    def network(self, genotype: Genotype, skeleton: Skeleton) -> DiscreteNetwork:
        cells = from_genotype(genotype)

        def make_cell(place: CellPlace) -> nn.Module:
            def operator(gene: Gene, node: int) -> nn.Module:
                stride = place.stride if gene[1] < 2 else 1
                return self._operator(gene[0])(place.channels, stride, EVALUATION)

            return DiscreteCell(place.preprocessing(EVALUATION), cells[place.kind], operator)

        concatenated = {kind: len(cell.concat) for kind, cell in cells.items()}
        return CellNetwork(CellBackbone(skeleton, concatenated, make_cell, EVALUATION))

    def inherited(self, supernet: nn.Module, genotype: Genotype) -> DiscreteNetwork:
        cells = self._fitting_cells(genotype)
        backbone = cast(CellBackbone, copy.deepcopy(supernet))

        def discrete(cell: SearchCell) -> nn.Module:
            def operator(gene: Gene, node: int) -> nn.Module:
                return cast(MixedModule, cell.edges[f"{gene[1]}-{node}"]).select(gene[0])

            return DiscreteCell(cell.preprocess, cells[cell.kind], operator)

        backbone.cells = nn.ModuleList(discrete(cast(SearchCell, cell)) for cell in backbone.cells)
        network = CellNetwork(backbone)
        network.auxiliary_heads.to(backbone.classifier.weight)
        return network

    def cost(self, kind: str, skeleton: Skeleton, seconds: Seconds | None = None) -> CostModel:
        raise ValueError(
            f"space {self.name!r} knows no {kind} for a budget: which edges of a cell cost anything is decided by its "
            "nodes together, not choice by choice; leave the budget out"
        )

    def homogeneous(self) -> Mapping[str, Genotype]:
        """For each operator but `none` the cells that have it everywhere, each node reading those just before it."""
        genotypes = {}
        for operator in self.kept_operators:
            nodes = [
                tuple((operator, source) for source in range(node)[-self.inputs_per_node :]) for node in self.nodes
            ]
            genotypes[operator] = self._genotype(dict.fromkeys(KINDS, nodes))
        return genotypes

    def graphs(self, genotype: Genotype) -> tuple[Graph, ...]:
        titles = {"normal": "normal cell", "reduce": "reduction cell"}
        return tuple(_graph(titles[kind], cell) for kind, cell in from_genotype(genotype).items())

    def charts(self, genotype: Genotype) -> tuple[BarChart, ...]:
        return ()

    def statistics(self, genotype: Genotype) -> Mapping[str, float]:
        cells = from_genotype(genotype)
        chosen = {kind: [operator for genes in cell.nodes for operator, _ in genes] for kind, cell in cells.items()}
        free = {name for name in set().union(*chosen.values()) if is_parameter_free(self._operator(name))}
        return {
            f"parameter_free_operators/{kind}": sum(name in free for name in names) for kind, names in chosen.items()
        }

    def _fitting_cells(self, genotype: Genotype) -> dict[str, CellDecisions]:
        """The cells of a genotype that this space can derive; a ValueError for one of another space."""
        cells = from_genotype(genotype)
        for kind, cell in cells.items():
            sources = [[source for _, source in genes] for genes in cell.nodes]
            if cell.concat != tuple(self.nodes) or len(cell.nodes) != self.num_nodes:
                raise ValueError(
                    f"the {kind} cell has {len(cell.nodes)} nodes and concatenates {list(cell.concat)}; space "
                    f"{self.name!r} has {self.num_nodes} nodes and concatenates all of them"
                )
            if any(len(set(inputs)) != len(inputs) for inputs in sources):
                raise ValueError(f"the {kind} cell reads an input twice at one node, which space {self.name!r} cannot")
            if foreign := {operator for genes in cell.nodes for operator, _ in genes} - {*self.operators}:
                raise ValueError(
                    f"space {self.name!r} has no operator {shown(min(foreign))}; it has {list(self.operators)}"
                )
        return cells

    def _operator(self, name: str) -> Operator:
        if name not in self.catalogue:
            raise ValueError(f"there is no operator {shown(name)}; the operators are {', '.join(self.catalogue)}")
        return self.catalogue[name]

    def _cell_choices(self, kind: str) -> list[Choice]:
        edges = [(source, node) for node in self.nodes for source in range(node)]
        choices = [Choice(op_choice(kind, *edge), self.operators, table=f"{kind}/op") for edge in edges]
        if self.edge_normalization:
            choices += [Choice(input_choice(kind, node), tuple(range(node))) for node in self.nodes]
        return choices

    def _search_cell(self, place: CellPlace) -> SearchCell:
        def edge(source: int) -> MixedModule:
            channels, stride = place.channels // self.partial_channels, place.stride if source < 2 else 1
            mixed = MixedOp({name: self.catalogue[name](channels, stride, self._norm) for name in self.operators})
            return PartialChannels(mixed, self.partial_channels) if self.partial_channels > 1 else mixed

        edges = {f"{source}-{node}": edge(source) for node in self.nodes for source in range(node)}
        return SearchCell(
            place,
            edges,
            self.num_nodes,
            weigh_inputs=self.edge_normalization,
            norm=self._norm,
            batched=self.execution == BATCHED,
            recompute=self.recompute,
        )

    def _best_genes(self, kind: str, node: int, mixture: Mixture) -> tuple[Gene, ...]:
        """Top inputs by the weight of their best operator, times their own weight where inputs are weighed."""
        input_weights = mixture[input_choice(kind, node)].tolist() if self.edge_normalization else [1.0] * node
        best = []
        for source, input_weight in enumerate(input_weights):
            choice = self._layout.choices[op_choice(kind, source, node)]
            operator, weight = best_candidate(choice, mixture[choice.name], never=(NONE,))
            best.append((str(operator), weight * input_weight))
        kept = largest([score for _, score in best], self.inputs_per_node)
        return tuple((best[source][0], source) for source in kept)

    def _genotype(self, nodes: Mapping[str, Sequence[tuple[Gene, ...]]]) -> Genotype:
        settings = {
            "operators": self.operators,
            "num_nodes": self.num_nodes,
            "inputs_per_node": self.inputs_per_node,
            "partial_channels": self.partial_channels,
            "edge_normalization": self.edge_normalization,
        }
        cells = {kind: CellDecisions(tuple(genes), tuple(self.nodes)) for kind, genes in nodes.items()}
        return to_genotype(self.name, settings, cells)


def _graph(title: str, cell: CellDecisions) -> Graph:
    numbers = range(2, len(cell.nodes) + 2)
    names = {0: "c_{k-2}", 1: "c_{k-1}", **{number: str(number - 2) for number in numbers}}
    edges = [
        Edge(names[i], names[node], op) for node, genes in zip(numbers, cell.nodes, strict=True) for op, i in genes
    ]
    wires = [Edge(names[node], "c_{k}") for node in cell.concat]
    return Graph(title, (names[0], names[1]), tuple(names[n] for n in numbers), "c_{k}", (*edges, *wires))
