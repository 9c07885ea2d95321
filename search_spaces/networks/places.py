"""Which choices a traced network offers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from nas.architecture import Candidate, Choice
from nas.channels import ChannelGroup, Channels, Layer
from nas.supernet import FLOAT_BITS as FLOAT
from nas.supernet import Lent, width_of

MOST_CANDIDATES = 64
"""Of one choice: a supernet of more is nobody's, and a file that asks for it would take all memory."""
_FLOAT_ONLY = (FLOAT,)
_PLAIN = (nn.Conv2d, nn.Linear)
"""The layers whose operands something can be done to; a subclass may use them in other ways."""
_BY_NATURE = ("the network returns it", "it is the image")
"""Why channels are fixed that nobody would want to search."""
_KEEP = "give space.keep_unsearchable=true to leave such as they are"


@dataclass(frozen=True)
class Sizes:
    """What may be chosen in a network; nothing that has fewer than two candidates is a choice.

    Attributes:
        widths: shares of the channels of a group, each in (0, 1].
        weight_bits: bits of a layer's weight, 1 to 32; 32 is float.
        input_bits: bits of a layer's input.
        operators: names of the operators that may stand where the network has a convolution.
        first_bits: bits of weight and input of the first layer, or None to choose them as those of the others.
        last_bits: the same of the last layer.
        keep_unsearchable: whether layers and channels that cannot be searched stay as they are; else they are an error.

    Raises:
        ValueError: no candidates, one twice, or one out of its bounds.
    """

    widths: tuple[float, ...] = (1.0,)
    weight_bits: tuple[int, ...] = (FLOAT,)
    input_bits: tuple[int, ...] = (FLOAT,)
    operators: tuple[str, ...] = ()
    first_bits: int | None = None
    last_bits: int | None = None
    keep_unsearchable: bool = False

    def __post_init__(self) -> None:
        for key in ("widths", "weight_bits", "input_bits"):
            given = getattr(self, key)
            if not given:
                raise ValueError(f"space.{key} is empty: give at least one candidate")
            if len(given) > MOST_CANDIDATES:
                raise ValueError(f"space.{key} has {len(given)} candidates; give at most {MOST_CANDIDATES}")
            if len(set(given)) != len(given):
                raise ValueError(f"space.{key} names a candidate twice: {list(given)}; give each once")
        if len(self.widths) == 1 and self.widths != (1.0,):
            raise ValueError(f"space.widths is {list(self.widths)}: one width is no choice; give several, or [1.0]")
        for width in self.widths:
            if isinstance(width, bool) or not 0 < width <= 1:
                raise ValueError(f"space.widths holds {width}; a width is a share of the channels, above 0 and up to 1")
        for key in ("weight_bits", "input_bits", "first_bits", "last_bits"):
            given = getattr(self, key)
            for bits in given if isinstance(given, tuple) else (given,):
                if bits is not None and (type(bits) is not int or not 1 <= bits <= FLOAT):
                    raise ValueError(
                        f"space.{key} holds {bits}; bits are whole numbers from 1 to {FLOAT}, which is float"
                    )
        if len(self.operators) == 1:
            raise ValueError(f"space.operators is {list(self.operators)}: one is no choice; give several, or []")
        if len(set(self.operators)) != len(self.operators):
            raise ValueError(f"space.operators names one twice: {list(self.operators)}; give each once")


@dataclass(frozen=True)
class SizedLayer:
    """A convolution or linear layer and where it stands: alone, or in an operator that may be chosen.

    `weight_bits` and `input_bits` are the candidates, one where there is no choice.
    """

    layer: Layer
    place: str
    weight_bits: tuple[int, ...]
    input_bits: tuple[int, ...]


Present = tuple[str, Candidate]
"""The choice and the candidate with which a part of the network is there."""


@dataclass(frozen=True)
class Places:
    """The layers, groups of channels and operators of a network that choices are about.

    `widths` maps names of channel groups to places, `operators` the module paths of operators to their choices.
    """

    layers: tuple[SizedLayer, ...]
    widths: Mapping[str, str]
    operators: Mapping[str, Present]
    choices: tuple[Choice, ...] = field(repr=False)

    def present(self, path: str) -> Present | None:
        """What must be chosen for the module or parameter at a path to be there; None where it always is."""
        return next((found for outer, found in self.operators.items() if f"{path}.".startswith(f"{outer}.")), None)


def choice_name(place: str, kind: str) -> str:
    """The name of a choice: its place, a module path, with what is chosen there."""
    return f"{place.replace('.', '/')}/{kind}"


def find_places(network: nn.Module, channels: Channels, sizes: Sizes) -> Places:
    """The places of a network, whose operators, where there is a choice of them, are `Lent` mixed operations.

    Raises:
        ValueError: nothing to choose; layers or channels that cannot be searched, unless they are to stay as they are.
    """
    mixed = {path: module for path, module in network.named_modules() if isinstance(module, Lent)}
    layers = _layers(network, channels, mixed, sizes)
    widths = _widths(channels, _unmasked(network, channels), mixed, sizes)
    choices = _choices(channels, layers, widths, mixed, sizes)
    if not choices:
        raise ValueError("nothing in this network is a choice: give two or more space.widths, bits or operators")
    return Places(layers, widths, _operators(mixed), choices)


def _layers(network: nn.Module, channels: Channels, mixed: Mapping[str, Lent], sizes: Sizes) -> tuple[SizedLayer, ...]:
    layers: dict[str, Layer] = {}
    for layer in channels.layers:
        if layer.path:
            layers.setdefault(layer.path, layer)  # the first call of each
    places = [_place(path, mixed) for path in layers]
    ends = dict(zip((*places[:1], *places[-1:]), (sizes.first_bits, sizes.last_bits), strict=False))
    found = []
    for layer, place in zip(layers.values(), places, strict=True):
        given = ends.get(place)
        bits = (sizes.weight_bits, sizes.input_bits) if given is None else ((given,), (given,))
        kind = type(network.get_submodule(layer.path))
        if bits != (_FLOAT_ONLY, _FLOAT_ONLY) and kind not in _PLAIN:
            if not sizes.keep_unsearchable:
                raise ValueError(
                    f"the bits of layer {layer.path!r} cannot be searched: it is a {kind.__name__}, not a plain Conv2d "
                    f"or Linear; {_KEEP}"
                )
            bits = (_FLOAT_ONLY, _FLOAT_ONLY)
        found.append(SizedLayer(layer, place, *bits))
    return tuple(found)


def _unmasked(network: nn.Module, channels: Channels) -> dict[str, str]:
    """Why the width of a group cannot be searched that a layer reads whose weight cannot be masked, by group."""
    found: dict[str, str] = {}
    for layer in channels.layers:
        kind = type(network.get_submodule(layer.path))
        if kind not in _PLAIN and not layer.depthwise:
            reader = f"layer {layer.path!r}" if layer.path else "the network itself"
            reason = f"{reader}, which reads them, is a {kind.__name__}, not a plain Conv2d or Linear"
            for index in channels.group_of[layer.reads].unique().tolist():
                found.setdefault(channels.groups[index].name, reason)
    return found


def _widths(channels: Channels, unmasked: Mapping[str, str], mixed: Mapping[str, Lent], sizes: Sizes) -> dict[str, str]:
    if len(sizes.widths) < 2:
        return {}
    fixed = {group.name: group.fixed or unmasked.get(group.name, "") for group in channels.groups}
    for group in channels.groups:
        reason = fixed[group.name]
        if reason and not reason.startswith(_BY_NATURE) and not sizes.keep_unsearchable:
            raise ValueError(f"the {group.size} channels of {group.name!r} cannot be searched: {reason}; {_KEEP}")
    widths: dict[str, str] = {}
    for group in channels.groups:
        if not fixed[group.name]:
            place, number = _written_at(group, mixed), 1
            while place in widths.values():  # a layer whose channels go different ways writes several groups
                number += 1
                place = f"{_written_at(group, mixed)}.{number}"
            widths[group.name] = place
    _require_widths(sizes.widths, {widths[group.name]: group.size for group in channels.groups if group.name in widths})
    return widths


def _require_widths(shares: Sequence[float], groups: Mapping[str, int]) -> None:
    """A ValueError for shares that make no widths at one of these places, with groups of these sizes."""
    common = math.gcd(*groups.values())
    for place, size in groups.items():
        for share in (share for share in shares if width_of(share, size) is None):
            near = max(round(share * common), 1) / common
            way = f"give multiples of 1/{common}, such as {near}" if common > 1 else "no share but 1.0 is of all groups"
            raise ValueError(
                f"space.widths holds {share}, which is no whole number of channels at {choice_name(place, 'width')}, "
                f"{share * size:g} of {size}; {way}"
            )
        named: dict[int | None, float] = {}
        for share in shares:
            first = named.setdefault(width_of(share, size), share)
            if first != share:
                raise ValueError(
                    f"space.widths holds {first!r} and {share!r}, both {share * size:g} of {size} channels at "
                    f"{choice_name(place, 'width')}; give each once"
                )


def _choices(
    channels: Channels,
    layers: Sequence[SizedLayer],
    widths: Mapping[str, str],
    mixed: Mapping[str, Lent],
    sizes: Sizes,
) -> tuple[Choice, ...]:
    """In the order in which the network runs its layers; choices of one kind share a table."""
    offered: dict[str, Choice] = {}

    def offer(place: str, kind: str, candidates: Sequence[Candidate]) -> None:
        name = choice_name(place, kind)
        if len(candidates) > 1 and name not in offered:
            offered[name] = Choice(name, tuple(candidates), table=kind)

    for layer in layers:
        if layer.place in mixed:
            offer(layer.place, "op", mixed[layer.place].mixed.candidates)
        for group in channels.groups:
            if group.name in widths and _written_at(group, mixed) == layer.place:
                offer(widths[group.name], "width", sizes.widths)
        offer(layer.place, "weight_bits", layer.weight_bits)
        offer(layer.place, "input_bits", layer.input_bits)
    return tuple(offered.values())


def _operators(mixed: Mapping[str, Lent]) -> dict[str, Present]:
    found: dict[str, Present] = {}
    for outer, lent in mixed.items():
        names = {id(lent.mixed.select(candidate)): candidate for candidate in lent.mixed.candidates}
        for path, module in lent.named_modules():
            if id(module) in names:
                found[f"{outer}.{path}"] = lent.choice, names[id(module)]
    return found


def _written_at(group: ChannelGroup, mixed: Mapping[str, Lent]) -> str:
    """The place of the first layer that writes a group of channels."""
    return _place(group.writers[0], mixed)


def _place(path: str, mixed: Mapping[str, Lent]) -> str:
    return next((outer for outer in mixed if path.startswith(f"{outer}.")), path)
