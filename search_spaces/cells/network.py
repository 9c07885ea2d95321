"""The discrete network of a cell genotype."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from nas.space import DiscreteNetwork, DropPath
from search_spaces.cells.auxiliary import AuxiliaryHead
from search_spaces.cells.backbone import CellBackbone
from search_spaces.cells.decisions import CellDecisions


class DiscreteCell(nn.Module):
    """s_j = sum over the genes (o, i) of node j of o(s_i); returns the concatenation of some nodes.

    `operators(gene, node)` gives the module of a gene. Every one but the identity is followed by drop path.
    """

    def __init__(
        self,
        preprocess: nn.ModuleList,
        decisions: CellDecisions,
        operators: Callable[[tuple[str, int], int], nn.Module],
    ) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.concat = decisions.concat
        self.nodes = nn.ModuleList(
            _Node([source for _, source in genes], [_droppable(operators(gene, number)) for gene in genes])
            for number, genes in enumerate(decisions.nodes, start=2)
        )

    def forward(self, s0: Tensor, s1: Tensor) -> Tensor:
        states = [self.preprocess[0](s0), self.preprocess[1](s1)]
        for node in self.nodes:
            states.append(node(states))
        return torch.cat([states[number] for number in self.concat], dim=1)


class _Node(nn.Module):
    """The sum of one operator for each kept input."""

    def __init__(self, sources: Sequence[int], operators: Sequence[nn.Module]) -> None:
        super().__init__()
        self.sources = sources
        self.operators = nn.ModuleList(operators)

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        outputs = [operator(states[source]) for source, operator in zip(self.sources, self.operators, strict=True)]
        total = outputs[0]
        for output in outputs[1:]:
            total = total + output
        return total


class CellNetwork(DiscreteNetwork):
    """A backbone of discrete cells, with an auxiliary head behind the second reduction if the skeleton asks for one."""

    def __init__(self, backbone: CellBackbone) -> None:
        super().__init__()
        self.backbone = backbone
        skeleton = backbone.skeleton
        self.auxiliary_at = 2 * skeleton.num_cells // 3
        self.auxiliary_heads = nn.ModuleList(
            [AuxiliaryHead(backbone.out_channels[self.auxiliary_at], skeleton)] if skeleton.auxiliary else []
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.backbone(x)

    def training_logits(self, x: Tensor) -> tuple[Tensor, ...]:
        features = self.backbone.features(x)
        auxiliary = [head(features[self.auxiliary_at]) for head in self.auxiliary_heads]
        return (self.backbone.classify(features[-1]), *auxiliary)


def _droppable(operator: nn.Module) -> nn.Module:
    return operator if isinstance(operator, nn.Identity) else nn.Sequential(operator, DropPath())
