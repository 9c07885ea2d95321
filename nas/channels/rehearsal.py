"""Whether a network, narrowed, computes what the groups say: tried on a copy."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from nas.channels.layer import Channels
from nas.channels.narrow import narrow, staying

Rerun = Callable[[Callable[[nn.Module], None]], Channels]
"""Runs a new copy of the network, changed by a function, and finds its channels."""


def rehearsed(channels: Channels, rerun: Rerun) -> Channels:
    """The same channels, with groups fixed without which the network does not run, or connects its layers otherwise.

    A size that is written down in the code of a network, as in `x[:, :64]`, shows only when the size is another. So the
    network runs with a third of the channels of all groups removed. If that fails, each half of the groups is tried,
    and so on: those that work together are free.
    """
    sizes = {group.name: group.size for group in channels.groups if not group.fixed and group.size > 1}
    works: list[str] = []
    fixed: dict[str, str] = {}

    def try_out(names: list[str]) -> None:
        failure = _failure(channels, {name: _two_thirds(sizes[name]) for name in (*works, *names)}, rerun)
        if not failure:
            works.extend(names)
        elif len(names) == 1:
            fixed[names[0]] = failure
        else:
            half = len(names) // 2
            try_out(names[:half])
            try_out(names[half:])

    if sizes:
        try_out(list(sizes))
    groups = tuple(replace(group, fixed=fixed.get(group.name, group.fixed)) for group in channels.groups)
    return replace(channels, groups=groups)


def first_line(error: BaseException | None) -> str:
    """What an error says first, or what it is."""
    return (str(error) or type(error).__name__).splitlines()[0]


def agree(channels: Channels, narrowed: Channels, kept: Mapping[str, Tensor]) -> bool:
    """Whether a narrowed network connects the channels that it kept as the whole one does."""
    stays = staying(channels, kept)
    if [layer.path for layer in channels.layers] != [layer.path for layer in narrowed.layers]:
        return False
    whole, rest = _lines(channels), _lines(narrowed)
    if whole.keys() != rest.keys() or any(int(stays[whole[key]].sum()) != len(rest[key]) for key in whole):
        return False
    before = torch.cat([line[stays[line]] for line in whole.values()])
    after = torch.cat([rest[key] for key in whole])
    pairs = torch.stack([before, after]).unique(dim=1)
    return pairs.shape[1] == len(before.unique()) == len(after.unique())


def _two_thirds(size: int) -> Tensor:
    """Positions without every third, the first one included: neither a half nor the beginning of the group."""
    return torch.tensor([position for position in range(size) if position % 3])


def _failure(channels: Channels, kept: Mapping[str, Tensor], rerun: Rerun) -> str:
    """Why a network can't be narrowed so; "" if it can."""
    try:
        narrowed = rerun(lambda network: narrow(network, channels, kept))
    except ValueError as error:
        return f"the network does not run with fewer: {first_line(error.__cause__)}"
    return "" if agree(channels, narrowed, kept) else "with fewer, the network connects others"


def _lines(channels: Channels) -> dict[object, Tensor]:
    """The channels on every side of a layer and along every axis of a parameter."""
    lines: dict[object, Tensor] = dict(channels.dims.items())
    for index, layer in enumerate(channels.layers):
        lines |= {(index, "reads"): layer.reads, (index, "writes"): layer.writes}
    return lines
