"""The edges of a search cell run together: equal to edge by edge, with the same parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.supernet import (
    Batched,
    Fan,
    MixedModule,
    Outputs,
    PartialChannels,
    edge_by_edge,
    image,
    rows,
    weighted_sum,
)

Edge = tuple[int, int]
"""(source, target)."""


@dataclass(frozen=True)
class Stage:
    """The edges that leave `sources` for all later nodes: they run as soon as the sources are complete."""

    sources: tuple[int, ...]
    targets: tuple[int, ...]

    @property
    def grid(self) -> tuple[int, int]:
        """How many targets and sources there are."""
        return len(self.targets), len(self.sources)

    @property
    def edges(self) -> list[Edge]:
        """By target first, as a fan counts them."""
        return [(source, target) for target in self.targets for source in self.sources]


class BatchedEdges:
    """All edges of a cell, stage by stage: each operator runs once a stage, on all edges of it.

    An operator that offers no batched form runs edge by edge among the others. The sums of all nodes to come are kept
    together; the next stage starts when the first of them is complete.
    """

    def __init__(self, edges: Mapping[str, MixedModule], num_nodes: int) -> None:
        nodes = range(2, num_nodes + 2)
        later = [Stage((node,), tuple(range(node + 1, num_nodes + 2))) for node in nodes[:-1]]
        self.stages = [Stage((0, 1), tuple(nodes)), *later]
        self.order = [edge for stage in self.stages for edge in stage.edges]
        mixed = [[edges[f"{source}-{target}"] for source, target in stage.edges] for stage in self.stages]
        self.k = mixed[0][0].k if isinstance(mixed[0][0], PartialChannels) else 1
        self.operators = [
            _StackedOperator([[module.select(candidate) for module in map(_within, stage)] for stage in mixed])
            for candidate in mixed[0][0].candidates
        ]

    def __call__(self, inputs: Sequence[Tensor], weights: Tensor, input_weights: Tensor | None) -> list[Tensor]:
        """The nodes of the cell, (N, C, H', W') each.

        `weights` has shape (edges, candidates) and `input_weights`, where inputs are weighed, (edges,); both are in
        the order of `order`.
        """
        sizes = [len(stage.edges) for stage in self.stages]
        through = weights.new_ones(len(weights)) if input_weights is None else input_weights
        if input_weights is not None:
            weights = weights * input_weights[:, None]
        stacked = [operator.parameters() for operator in self.operators]
        nodes: list[Tensor] = []
        sums = shift = bypass = None
        for number, (stage, w, u) in enumerate(
            zip(self.stages, weights.split(sizes), through.split(sizes), strict=True)
        ):
            targets, sources = stage.grid
            x = inputs if number == 0 else nodes[-1:]
            parts = [_split(source, self.k) for source in x]
            fan = Fan(_joined([part for part, _ in parts]), sources, targets)
            outputs = [
                (output, weight.view(stage.grid))
                for operator, parameters, weight in zip(self.operators, stacked, w.unbind(1), strict=True)
                if (output := operator(number, fan, parameters[number])) is not None
            ]
            sums, constant = weighted_sum(fan, outputs, sums)
            if constant is not None:
                shift = constant if shift is None else shift + constant
            batch, _, *size = outputs[0][0].features.shape
            if self.k > 1:
                bypass = _add_bypass([rest for _, rest in parts if rest is not None], u.view(stage.grid), size, bypass)
            node, sums = _first(sums)
            if shift is not None:
                constant, shift = _first(shift)
                node = node + constant.to(node.dtype)
            if bypass is not None:
                rest, bypass = _first(bypass)
                node = _shuffled(node, rest, self.k)
            nodes.append(image(node, batch, *size))
        return nodes


class _StackedOperator:
    """One candidate on all edges of a cell. `modules[i]` are those of stage i; stages of equal parameters are stacked
    together."""

    def __init__(self, modules: Sequence[Sequence[nn.Module]]) -> None:
        self.modules = modules
        self.batched = [isinstance(stage[0], Batched) for stage in modules]
        self.groups: dict[tuple[tuple[str, torch.Size], ...], list[int]] = {}
        for number, stage in enumerate(modules):
            if self.batched[number]:
                shapes = tuple((name, parameter.shape) for name, parameter in stage[0].named_parameters())
                self.groups.setdefault(shapes, []).append(number)

    def parameters(self) -> list[dict[str, Tensor]]:
        """For each stage the parameters of its edges by name, (edges, *shape)."""
        stacked: list[dict[str, Tensor]] = [{} for _ in self.modules]
        for shapes, numbers in self.groups.items():
            sizes = [len(self.modules[number]) for number in numbers]
            for name, _ in shapes:
                path, _, attribute = name.rpartition(".")
                owners = [module.get_submodule(path) for number in numbers for module in self.modules[number]]
                every = torch.stack([getattr(owner, attribute) for owner in owners])
                for number, part in zip(numbers, every.split(sizes), strict=True):
                    stacked[number][name] = part
        return stacked

    def __call__(self, number: int, fan: Fan, parameters: Mapping[str, Tensor]) -> Outputs | None:
        first = self.modules[number][0]
        return first.batched(fan, parameters) if isinstance(first, Batched) else edge_by_edge(fan, self.modules[number])


def _within(module: MixedModule) -> MixedModule:
    """The mixed operation that partial channels wrap, or the module itself."""
    return module.mixed if isinstance(module, PartialChannels) else module


def _split(x: Tensor, k: int) -> tuple[Tensor, Tensor | None]:
    """The channels that are mixed and those that bypass the mixture."""
    if k == 1:
        return x, None
    part, rest = x.tensor_split([x.shape[1] // k], dim=1)
    return part, rest


def _joined(sources: Sequence[Tensor]) -> Tensor:
    """The sources one after the other in the channels, channels-last."""
    x = sources[0] if len(sources) == 1 else torch.cat(list(sources), dim=1)
    return x.contiguous(memory_format=torch.channels_last)


def _add_bypass(sources: Sequence[Tensor], weights: Tensor, size: Sequence[int], total: Tensor | None) -> Tensor:
    """total[t] + sum_s weights[t, s] * source_s on the way past the mixture, (T, R, C)."""
    if list(sources[0].shape[2:]) != list(size):
        sources = [F.max_pool2d(source, kernel_size=2, ceil_mode=True) for source in sources]
    pixels = torch.stack([rows(source) for source in sources])
    flat = pixels.flatten(1)
    weights = weights.to(flat.dtype)
    added = weights @ flat if total is None else torch.addmm(total.flatten(1), weights, flat)
    return added.view(len(weights), *pixels.shape[1:])


def _first(stack: Tensor) -> tuple[Tensor, Tensor]:
    """The first of a stack, and the others."""
    first, others = stack.split([1, len(stack) - 1])
    return first.squeeze(0), others


def _shuffled(mixed: Tensor, rest: Tensor, k: int) -> Tensor:
    """channel_shuffle([mixed, rest], k) on rows: (R, C / k) and (R, C - C / k) to (R, C)."""
    groups = torch.cat([mixed[:, None], rest.view(len(rest), k - 1, -1)], dim=1)
    return groups.transpose(1, 2).flatten(1)
