"""From the elements of a run to numbered channels in groups."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, count

import torch
from torch import Tensor

from nas.channels.dense import Pass, owner
from nas.channels.layer import ChannelGroup, Channels, Layer
from nas.channels.run import Run

_Members = Mapping[tuple[tuple[int, ...], str], Sequence[int]]
"""(where they occur, why they are fixed) -> the roots of the channels of a group."""


def grouped(run: Run, image: Tensor, returned: Sequence[Tensor], output: tuple[int, ...] | str) -> Channels:
    """The channels of a run whose image had the elements `image`, and which returned these tensors in an output.

    A group holds the channels that occur in the same axes of parameters and on the same sides of layers, and that are
    free or fixed for the same reason.
    """
    sides = [image, *(side for done in run.passes for side in (done.reads, done.writes))]
    read_or_written = [run.unions.roots(side).tolist() for side in sides]
    lines = {key: run.unions.roots(line).tolist() for key, line in run.dims.items()}
    channels = dict.fromkeys(chain.from_iterable(read_or_written))
    lines = {key: line for key, line in lines.items() if line and channels.keys() >= set(line)}
    members = _members(run, channels, [*read_or_written, *lines.values()])
    number = {channel: index for index, channel in enumerate(chain.from_iterable(members.values()))}
    sizes = torch.tensor([len(group) for group in members.values()])

    def numbered(line: Tensor) -> Tensor:
        return torch.tensor([number[root] for root in run.unions.roots(line).tolist()], dtype=torch.int64)

    return Channels(
        groups=_named(members, run.passes),
        layers=tuple(
            Layer(
                path=owner(done.source),
                in_channels=len(done.reads),
                out_channels=len(done.writes),
                reads=numbered(done.reads),
                writes=numbered(done.writes),
                **done.sizes,
            )
            for done in run.passes
        ),
        group_of=torch.arange(len(sizes)).repeat_interleave(sizes),
        rank=torch.cat([torch.arange(size) for size in sizes.tolist()]),
        dims={key: numbered(run.dims[key]) for key in lines},
        norms={
            path: numbered(line)
            for path, line in run.norms.items()
            if channels.keys() >= set(run.unions.roots(line).tolist())
        },
        steps=tuple(run.flow.steps),
        returned=run.flow.of(returned),
        output=output,
    )


def _members(run: Run, channels: Iterable[int], lines: list[list[int]]) -> dict[tuple[tuple[int, ...], str], list[int]]:
    """The groups, in the order in which layers write or read them."""
    reasons = run.unions.reasons()
    places: dict[int, list[int]] = {channel: [] for channel in channels}
    for place, line in enumerate(lines):
        for channel in set(line):
            places[channel].append(place)
    members: dict[tuple[tuple[int, ...], str], list[int]] = {}
    for channel, found in places.items():
        members.setdefault((tuple(found), reasons.get(channel, "")), []).append(channel)
    return members


def _named(members: _Members, passes: Sequence[Pass]) -> tuple[ChannelGroup, ...]:
    """The groups; place 0 is the image, then each pass has its two sides."""
    groups: list[ChannelGroup] = []
    taken: set[str] = set()
    for (places, fixed), channels in members.items():
        sides = [place for place in places if place <= 2 * len(passes)]
        writing = [passes[place // 2 - 1] for place in sides if place and place % 2 == 0]
        dense = [done for done in writing if not done.sizes["depthwise"]]
        if 0 in sides:
            name = "input"
        elif dense:
            name = _written(dense[0])
        else:
            name = f"{_written(passes[(sides[0] - 1) // 2])}/input"
        numbered = (f"{name}/{number}" for number in count(2))
        name = next(candidate for candidate in chain([name], numbered) if candidate not in taken)
        taken.add(name)
        writers = tuple(dict.fromkeys(owner(done.source) for done in dense))
        groups.append(ChannelGroup(name, len(channels), writers, fixed))
    return tuple(groups)


def _written(done: Pass) -> str:
    return (owner(done.source) or done.source or done.sizes["kind"]).replace(".", "/")
