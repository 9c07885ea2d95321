"""Data that is nothing but values: what a checkpoint may hold."""

import collections
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from nas.reading.words import shown

LEAVES = (Tensor, nn.Parameter, bool, int, float, str, type(None))
MAPPINGS = (dict, collections.OrderedDict)
SEQUENCES = (list, tuple)
DEEPEST = 64
"""Levels of dicts and lists; the states of this program have fewer than ten."""
LARGEST = 64 * 2**20
"""Bytes of all that is no tensor, written out in full: a short pickle can name one list so often that it never ends."""


def check_plain(value: Any, place: str) -> None:
    """A ValueError unless `value` nests dicts, lists and tuples of tensors, numbers, strings, booleans and None.

    The message names the place of what is something else, such as `state['weights']`; it also refuses what is nested
    too deeply or, written out in full, too large.
    """
    size = 0
    for found, where in _values(value, place, DEEPEST):
        kind = type(found)  # exact: numpy's float64 is a float by inheritance, but weights_only refuses it
        if kind not in LEAVES:
            raise ValueError(
                f"{where} is a {kind.__module__}.{kind.__qualname__}; a checkpoint holds tensors, numbers, strings, "
                "booleans, None, and dicts, lists and tuples of them: convert it first"
            )
        size += 16 + (len(found) if kind is str else found.bit_length() // 8 if kind is int else 0)
        if size > LARGEST:
            raise ValueError(f"{place} holds more than {LARGEST:,} bytes of values that are no tensors")


def _values(value: Any, place: str, levels: int) -> Iterator[tuple[Any, str]]:
    """(leaf, its place) of all leaves, and None for each container, so that empty ones count as well."""
    kind = type(value)  # exact, as in `check_plain`
    if kind not in (*MAPPINGS, *SEQUENCES):
        yield value, place
        return
    if levels == 0:
        raise ValueError(f"{place[:80]}… is nested more than {DEEPEST} levels deep")
    yield None, place
    for key, item in value.items() if kind in MAPPINGS else enumerate(value):
        if kind in MAPPINGS:
            yield from _values(key, f"the key {shown(key)} of {place}", levels - 1)
        yield from _values(item, f"{place}[{shown(key)}]", levels - 1)
