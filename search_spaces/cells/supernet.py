"""A cell that holds every operator on every edge."""

import torch
from torch import Tensor, nn

from nas.architecture import Mixture
from nas.supernet import MixedModule, recomputed
from search_spaces.cells.backbone import CellPlace
from search_spaces.cells.batched import BatchedEdges
from search_spaces.operators import Normalization


def op_choice(kind: str, source: int, node: int) -> str:
    """The name of the choice of an edge's operator."""
    return f"{kind}/{source}-{node}/op"


def input_choice(kind: str, node: int) -> str:
    """The name of the choice among a node's inputs."""
    return f"{kind}/{node}/input"


class SearchCell(nn.Module):
    """s_j = sum_{i<j} w_ij * mixed_ij(s_i) for nodes j = 2, 3, ...; returns their concatenation (DARTS, equation 1).

    `edges["i-j"]` is the mixed module of an edge. w_ij is 1, or the mixture's weight of input i of node j where the
    space weighs inputs (PC-DARTS' edge normalization). Both inputs have shape (N, in_channels, H, W), s0 twice the
    size after a reduction; the output has shape (N, num_nodes * channels, H', W').

    Edges run one by one, or, `batched`, all edges that leave a node together: the same numbers to rounding, from the
    same parameters, in a fraction of the operations. With `recompute` the backward pass computes what is inside the
    cell again.
    """

    def __init__(
        self,
        place: CellPlace,
        edges: dict[str, MixedModule],
        num_nodes: int,
        *,
        weigh_inputs: bool,
        norm: Normalization,
        batched: bool,
        recompute: bool,
    ) -> None:
        super().__init__()
        self.kind = place.kind
        self.num_nodes = num_nodes
        self.weigh_inputs = weigh_inputs
        self.recompute = recompute
        self.preprocess = place.preprocessing(norm)
        self.edges = nn.ModuleDict(edges)
        self.batched = BatchedEdges(edges, num_nodes) if batched else None

    @property
    def compiled_part(self) -> nn.Module:
        """What is worth a program: all edges where they run together, which cells of one kind and width share.

        The preprocessing differs from cell to cell, and edge by edge the cell is what there is.
        """
        return self if self.batched is None else self.batched

    def forward(self, s0: Tensor, s1: Tensor, mixture: Mixture) -> Tensor:
        if self.recompute:
            return recomputed(self, self._output, s0, s1, mixture)
        return self._output(s0, s1, mixture)

    def _output(self, s0: Tensor, s1: Tensor, mixture: Mixture) -> Tensor:
        states = [self.preprocess[0](s0), self.preprocess[1](s1)]
        nodes = self._edge_by_edge(states, mixture) if self.batched is None else self._batched(states, mixture)
        return torch.cat(nodes, dim=1)

    def _batched(self, inputs: list[Tensor], mixture: Mixture) -> list[Tensor]:
        assert self.batched is not None
        order = self.batched.order
        weights = mixture.stacked([op_choice(self.kind, *edge) for edge in order])
        if not self.weigh_inputs:
            return self.batched(inputs, weights, None)
        of_node = {node: mixture[input_choice(self.kind, node)].unbind() for _, node in order}
        return self.batched(inputs, weights, torch.stack([of_node[node][source] for source, node in order]))

    def _edge_by_edge(self, inputs: list[Tensor], mixture: Mixture) -> list[Tensor]:
        states = [*inputs]
        for node in range(2, self.num_nodes + 2):
            states.append(self._node(states, node, mixture))
        return states[2:]

    def _node(self, states: list[Tensor], node: int, mixture: Mixture) -> Tensor:
        outputs = [
            self.edges[f"{source}-{node}"](state, mixture[op_choice(self.kind, source, node)])
            for source, state in enumerate(states)
        ]
        if self.weigh_inputs:
            outputs = [w * y for w, y in zip(mixture[input_choice(self.kind, node)], outputs, strict=True)]
        total = outputs[0]
        for output in outputs[1:]:
            total = total + output
        return total
