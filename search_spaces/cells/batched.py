"""The edges of a search cell run together: equal to edge by edge, with the same parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count, groupby

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
    kernels_apart,
    rows,
    weighted_sum,
)
from search_spaces.operators import Zero

Edge = tuple[int, int]
"""(source, target)."""

Places = Sequence[tuple[nn.Module, str]]
"""Parameters, as the modules that own them and their names there: the tensor may be another at every call."""


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
        candidates = [
            [[module.select(candidate) for module in map(_within, stage)] for stage in mixed]
            for candidate in mixed[0][0].candidates
        ]
        self.joined, self.apart = (
            _Plan(_families(candidates, apart=apart), self.stages, len(candidates)) for apart in (False, True)
        )

    def forward(self, inputs: Sequence[Tensor], weights: Tensor, input_weights: Tensor | None) -> list[Tensor]:
        """The nodes of the cell, (N, C, H', W') each.

        `weights` has shape (edges, candidates) and `input_weights`, where inputs are weighed, (edges,); both are in
        the order of `order`.
        """
        past = self._past(weights, input_weights)
        if input_weights is not None:
            weights = weights * input_weights[:, None]
        plan = self.apart if kernels_apart(_split(inputs[0], self.k)[0]) else self.joined
        stacked = plan.parameters()
        mixed = plan.weights(weights)
        nodes: list[Tensor] = []
        sums = bypass = None
        for number, stage in enumerate(self.stages):
            targets, sources = stage.grid
            x = inputs if number == 0 else nodes[-1:]
            parts = [_split(source, self.k) for source in x]
            fan = Fan(_joined([part for part, _ in parts]), sources, targets)
            outputs = [
                (family(number, fan, parameters), w)
                for family, parameters, w in zip(plan.families, stacked[number], mixed[number], strict=True)
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


class _Family:
    """Candidates that run as one on all edges of a cell.

    `members` are their numbers among all candidates, `modules[i][j]` the modules of member i on the edges of stage j.
    """

    def __init__(self, members: Sequence[int], modules: Sequence[Sequence[Sequence[nn.Module]]]) -> None:
        self.members = members
        self.modules = modules
        self.largest = max(modules, key=lambda member: sum(p.numel() for p in member[0][0].parameters()))

    def places(self, number: int, sources: int) -> dict[str, Places]:
        """The parameters that the batched form takes on a stage, by name."""
        first = self.largest[number][0]
        if batched_form(first) is None:
            return {}
        places: dict[str, Places] = {}
        for name, _ in first.named_parameters():
            path, _, attribute = name.rpartition(".")
            owners = [[module.get_submodule(path) for module in member[number]] for member in self.modules]
            places[name] = [(owner, attribute) for owner in _in_turns(owners, sources)]
        return places

    def __call__(self, number: int, fan: Fan, parameters: Mapping[str, Tensor]) -> Outputs:
        stage = self.largest[number]
        form = batched_form(stage[0])
        if form is None:
            return edge_by_edge(fan, stage)
        return form.batched(fan.widened(len(self.members)), parameters)


class _Plan:
    """Families of candidates, and where their parameters and weights come from."""

    def __init__(self, families: Sequence["_Family"], stages: Sequence[Stage], candidates: int) -> None:
        self.families = families
        self.stages = stages
        self.stacks = _stacks(families, stages)
        edge = count()
        grids = [[[next(edge) for _ in stage.sources] for _ in stage.targets] for stage in stages]
        pieces = [
            [number * candidates + member for target in grid for member in family.members for number in target]
            for grid in grids
            for family in families
        ]
        used = [place for piece in pieces for place in piece]
        unused = sorted({*range(next(edge) * candidates)} - {*used})
        self.places = used + unused  # in (edges, candidates), flat; one gradient of zeros for all that are unused
        self.sizes = [*map(len, pieces), len(unused)]

    def parameters(self) -> list[list[dict[str, Tensor]]]:
        """For each stage and family its parameters, (edges, *shape), by name."""
        stacked: list[list[dict[str, Tensor]]] = [[{} for _ in self.families] for _ in self.stages]
        for stack in self.stacks:
            for slot, parameter in zip(stack.slots, stack(), strict=True):
                stacked[slot.stage][slot.family][slot.name] = parameter
        return stacked

    def weights(self, weights: Tensor) -> list[list[Tensor]]:
        """For each stage and family the weights of its outputs, (T, members * S), out of (edges, candidates)."""
        single = weights.flatten().unbind()
        parts = iter(torch.stack([single[place] for place in self.places]).split(self.sizes))
        return [[next(parts).view(len(stage.targets), -1) for _ in self.families] for stage in self.stages]


@dataclass(frozen=True)
class _Slot:
    """A parameter of a family on the edges of a stage: for each target, of each member, for each source."""

    family: int
    stage: int
    name: str
    places: Places

    @property
    def shapes(self) -> list[torch.Size]:
        """Of the parameters; those of kernels may differ."""
        return [getattr(*place).shape for place in self.places]


class _Stack:
    """Parameters of one shape, stacked all at once; kernels that are smaller are padded with zeros."""

    def __init__(self, shape: torch.Size, slots: Sequence[_Slot]) -> None:
        self.slots = slots
        self.sizes = [len(slot.places) for slot in slots]
        shapes = [own for slot in slots for own in slot.shapes]
        places = [place for slot in slots for place in slot.places]
        self.parts = [
            (own, _centered(own, shape), [place for place, other in zip(places, shapes, strict=True) if other == own])
            for own in dict.fromkeys(shapes)
        ]
        self.runs = [(own, len(list(run))) for own, run in groupby(shapes)]

    def __call__(self) -> Sequence[Tensor]:
        """What goes into each slot, (edges, *shape)."""
        stacks = {}
        for own, padding, places in self.parts:
            stack = torch.stack([getattr(*place) for place in places])
            stacks[own] = F.pad(stack, padding) if padding else stack
        if len(stacks) == 1:
            (joined,) = stacks.values()
        else:
            runs = {
                own: iter(stack.split([length for other, length in self.runs if other == own]))
                for own, stack in stacks.items()
            }
            joined = torch.cat([next(runs[own]) for own, _ in self.runs])
        return joined.split(self.sizes)


def _families(candidates: Sequence[Sequence[Sequence[nn.Module]]], *, apart: bool) -> list[_Family]:
    """Candidates grouped by family, and by the size of their kernels too if these are to stay apart.

    Those without a family are by themselves, and those that are nothing at all left out.
    """
    groups: dict[object, list[int]] = {}
    for number, modules in enumerate(candidates):
        if all(type(module) is Zero for stage in modules for module in stage):
            continue
        forms = [batched_form(stage[0]) for stage in modules]
        families = tuple(None if form is None else form.family for form in forms)
        shapes = tuple(parameter.shape for parameter in modules[0][0].parameters()) if apart else ()
        groups.setdefault(number if None in families else (families, shapes), []).append(number)
    return [_Family(members, [candidates[number] for number in members]) for members in groups.values()]


def _stacks(families: Sequence[_Family], stages: Sequence[Stage]) -> list[_Stack]:
    """All slots of a cell, by the shape of what they hold."""
    by_shape: dict[torch.Size, list[_Slot]] = {}
    for index, family in enumerate(families):
        for number, stage in enumerate(stages):
            for name, places in family.places(number, len(stage.sources)).items():
                slot = _Slot(index, number, name, places)
                by_shape.setdefault(max(slot.shapes, key=torch.Size.numel), []).append(slot)
    return [_Stack(shape, slots) for shape, slots in by_shape.items()]


def _centered(shape: torch.Size, larger: torch.Size) -> tuple[int, ...]:
    """The padding of both image dimensions that leaves a kernel in the middle of a larger one; nothing if equal."""
    if shape == larger:
        return ()
    height, width = ((large - small) // 2 for small, large in zip(shape[-2:], larger[-2:], strict=True))
    return width, width, height, height


def _in_turns(members: Sequence[Sequence[nn.Module]], size: int) -> list[nn.Module]:
    """The first `size` of each member, then the next `size` of each, ..."""
    starts = range(0, len(members[0]), size)
    return [module for start in starts for member in members for module in member[start : start + size]]


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


def _first(stack: Tensor) -> tuple[Tensor, Tensor | None]:
    """The first of a stack, and the others, if there are."""
    if len(stack) == 1:
        return stack.squeeze(0), None
    first, others = stack.split([1, len(stack) - 1])
    return first.squeeze(0), others


def _shuffled(mixed: Tensor, rest: Tensor, k: int) -> Tensor:
    """channel_shuffle([mixed, rest], k) on rows: (R, C / k) and (R, C - C / k) to (R, C)."""
    groups = torch.cat([mixed[:, None], rest.view(len(rest), k - 1, -1)], dim=1)
    return groups.transpose(1, 2).flatten(1)
