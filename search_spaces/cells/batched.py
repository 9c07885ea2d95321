"""The edges of a search cell run together: equal to edge by edge, with the same parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.supernet import (
    Fan,
    MixedModule,
    Outputs,
    PartialChannels,
    batched_form,
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


class BatchedEdges(nn.Module):
    """All edges of a cell, stage by stage: each family of operators runs once a stage, on all edges of it.

    An operator that offers no batched form runs edge by edge among the others. The sums of all nodes to come are kept
    together; the next stage starts when the first of them is complete. The operators stay modules of the cell: this one
    has none in its state dict.
    """

    def __init__(self, edges: Mapping[str, MixedModule], num_nodes: int) -> None:
        super().__init__()
        nodes = range(2, num_nodes + 2)
        later = [Stage((node,), tuple(range(node + 1, num_nodes + 2))) for node in nodes[:-1]]
        self.stages = [Stage((0, 1), tuple(nodes)), *later]
        self.order = [edge for stage in self.stages for edge in stage.edges]
        mixed = [[edges[f"{source}-{target}"] for source, target in stage.edges] for stage in self.stages]
        self.k = mixed[0][0].k if isinstance(mixed[0][0], PartialChannels) else 1
        self.families = _families(
            [
                [[module.select(candidate) for module in map(_within, stage)] for stage in mixed]
                for candidate in mixed[0][0].candidates
            ],
            self.stages,
        )
        candidates, edge = len(mixed[0][0].candidates), iter(range(len(self.order)))
        grids = [[[next(edge) for _ in stage.sources] for _ in stage.targets] for stage in self.stages]
        pieces = [
            [number * candidates + member for target in grid for member in family.members for number in target]
            for grid in grids
            for family in self.families
        ]
        self.places = [place for piece in pieces for place in piece]  # in (edges, candidates), flat
        self.sizes = [len(piece) for piece in pieces]

    def forward(self, inputs: Sequence[Tensor], weights: Tensor, input_weights: Tensor | None) -> list[Tensor]:
        """The nodes of the cell, (N, C, H', W') each.

        `weights` has shape (edges, candidates) and `input_weights`, where inputs are weighed, (edges,); both are in
        the order of `order`.
        """
        past = self._past(weights, input_weights)
        if input_weights is not None:
            weights = weights * input_weights[:, None]
        stacked = [family.parameters() for family in self.families]
        mixed = self._weights(weights)
        nodes: list[Tensor] = []
        sums = bypass = None
        for number, stage in enumerate(self.stages):
            targets, sources = stage.grid
            x = inputs if number == 0 else nodes[-1:]
            parts = [_split(source, self.k) for source in x]
            fan = Fan(_joined([part for part, _ in parts]), sources, targets)
            outputs = [
                (output, w)
                for family, parameters, w in zip(self.families, stacked, mixed[number], strict=True)
                if (output := family(number, fan, parameters[number])) is not None
            ]
            sums = weighted_sum(fan, outputs, sums)
            batch, _, *size = outputs[0][0].features.shape
            if self.k > 1:
                bypass = _add_bypass([rest for _, rest in parts if rest is not None], past[number], size, bypass)
            node, sums = _first(sums)
            if bypass is not None:
                rest, bypass = _first(bypass)
                node = _shuffled(node, rest, self.k)
            nodes.append(image(node, batch, *size))
        return nodes

    def _past(self, weights: Tensor, input_weights: Tensor | None) -> list[Tensor]:
        """For each stage the weights of what bypasses the mixture, (T, S): those of the inputs, or ones."""
        if self.k == 1:
            return []
        each = weights.new_ones(len(self.order)) if input_weights is None else input_weights
        parts = each.split([len(stage.edges) for stage in self.stages])
        return [part.view(stage.grid) for part, stage in zip(parts, self.stages, strict=True)]

    def _weights(self, weights: Tensor) -> list[list[Tensor]]:
        """For each stage and family the weights of its outputs, (T, members * S)."""
        single = weights.flatten().unbind()
        parts = iter(torch.stack([single[place] for place in self.places]).split(self.sizes))
        return [[next(parts).view(len(stage.targets), -1) for _ in self.families] for stage in self.stages]


class _Family:
    """Candidates that run as one on all edges of a cell, their parameters stacked.

    `members` are their numbers among all candidates, `modules[i][j]` the modules of member i on the edges of stage j.
    """

    def __init__(
        self, members: Sequence[int], modules: Sequence[Sequence[Sequence[nn.Module]]], stages: Sequence[Stage]
    ):
        self.members = members
        self.modules = max(modules, key=lambda member: sum(p.numel() for p in member[0][0].parameters()))
        self.stages = stages
        alike: dict[object, list[int]] = {}
        for number, stage in enumerate(self.modules):
            if batched_form(stage[0]) is not None:
                shapes = tuple((name, parameter.shape) for name, parameter in stage[0].named_parameters())
                alike.setdefault(shapes, []).append(number)
        self.stacks = [
            _Stack(
                name, parameter.shape, [[member[number] for number in numbers] for member in modules], numbers, stages
            )
            for numbers in alike.values()
            for name, parameter in self.modules[numbers[0]][0].named_parameters()
        ]

    def parameters(self) -> list[dict[str, Tensor]]:
        """For each stage the parameters of its edges by name, (T * members * S, *shape)."""
        stacked: list[dict[str, Tensor]] = [{} for _ in self.stages]
        for stack in self.stacks:
            for number, parameter in zip(stack.numbers, stack(), strict=True):
                stacked[number][stack.name] = parameter
        return stacked

    def __call__(self, number: int, fan: Fan, parameters: Mapping[str, Tensor]) -> Outputs | None:
        stage = self.modules[number]
        form = batched_form(stage[0])
        if form is None:
            return edge_by_edge(fan, stage)
        return form.batched(fan.widened(len(self.members)), parameters)


class _Stack:
    """One parameter of all edges of some stages: of each target, for each member, of each source."""

    def __init__(
        self,
        name: str,
        shape: torch.Size,
        modules: Sequence[Sequence[Sequence[nn.Module]]],
        numbers: Sequence[int],
        stages: Sequence[Stage],
    ) -> None:
        self.name = name
        self.numbers = numbers
        path, _, self.attribute = name.rpartition(".")
        owners = [[module.get_submodule(path) for stage in member for module in stage] for member in modules]
        self.by_target = [len(stages[number].sources) for number in numbers for _ in stages[number].targets]
        self.by_stage = [len(modules) * len(stages[number].edges) for number in numbers]
        paddings = [_centered(getattr(member[0], self.attribute).shape, shape) for member in owners]
        if any(paddings):
            self.owners, self.paddings = owners, paddings
        else:  # one list in the final order
            self.owners, self.paddings = [_interleaved(owners, self.by_target)], [()]

    def __call__(self) -> Sequence[Tensor]:
        stacked = []
        for owners, padding in zip(self.owners, self.paddings, strict=True):
            stack = torch.stack([getattr(owner, self.attribute) for owner in owners])
            stacked.append(F.pad(stack, padding) if padding else stack)
        return _in_turns(stacked, self.by_target).split(self.by_stage)


def _families(candidates: Sequence[Sequence[Sequence[nn.Module]]], stages: Sequence[Stage]) -> list[_Family]:
    """Candidates grouped by family; those without one by themselves."""
    groups: dict[object, list[int]] = {}
    for number, modules in enumerate(candidates):
        forms = [batched_form(stage[0]) for stage in modules]
        families = tuple(None if form is None else form.family for form in forms)
        groups.setdefault(number if None in families else families, []).append(number)
    return [_Family(members, [candidates[number] for number in members], stages) for members in groups.values()]


def _centered(shape: torch.Size, larger: torch.Size) -> tuple[int, ...]:
    """The padding of both image dimensions that leaves a kernel in the middle of a larger one; nothing if equal."""
    if shape == larger:
        return ()
    height, width = ((large - small) // 2 for small, large in zip(shape[-2:], larger[-2:], strict=True))
    return width, width, height, height


def _in_turns(tensors: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    """The first `sizes[0]` rows of each tensor, then the next `sizes[1]` of each, ..."""
    if len(tensors) == 1:
        return tensors[0]
    return torch.cat([part for parts in zip(*(t.split(sizes) for t in tensors), strict=True) for part in parts])


def _interleaved(members: Sequence[Sequence[nn.Module]], sizes: Sequence[int]) -> list[nn.Module]:
    """The first `sizes[0]` of each member, then the next `sizes[1]` of each, ..."""
    ends = list(accumulate(sizes))
    return [module for end, size in zip(ends, sizes, strict=True) for m in members for module in m[end - size : end]]


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
