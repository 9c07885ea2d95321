"""A cell that holds every operator on every edge."""

import torch
from torch import Tensor, nn

from nas.architecture import Mixture
from nas.supernet import MixedModule
from search_spaces.cells.backbone import CellPlace
from search_spaces.operators import SEARCH


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
    """

    def __init__(self, place: CellPlace, edges: dict[str, MixedModule], num_nodes: int, weigh_inputs: bool) -> None:
        super().__init__()
        self.kind = place.kind
        self.num_nodes = num_nodes
        self.weigh_inputs = weigh_inputs
        self.preprocess = place.preprocessing(SEARCH)
        self.edges = nn.ModuleDict(edges)

    def forward(self, s0: Tensor, s1: Tensor, mixture: Mixture) -> Tensor:
        states = [self.preprocess[0](s0), self.preprocess[1](s1)]
        for node in range(2, self.num_nodes + 2):
            states.append(self._node(states, node, mixture))
        return torch.cat(states[2:], dim=1)

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
