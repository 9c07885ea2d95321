"""Data that is nothing but values: what a checkpoint may hold."""

import collections
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
VALUE = 64
"""Bytes of any value besides its text or digits, about as in Python's memory."""

Place = tuple[Any, ...]
"""(place of the container, how to write what is in it, its key or index); () for the whole."""


def check_plain(data: Any, name: str) -> None:
    """A ValueError unless `data` nests dicts, lists and tuples of tensors, numbers, strings, booleans and None.

    The message names the place of what is something else, such as `state['weights']`; it also refuses what is nested
    too deeply or, written out in full, too large.
    """
    size = 0
    ahead: list[tuple[Any, Place, int]] = [(data, (), 0)]
    while ahead:
        value, place, depth = ahead.pop()
        kind = type(value)  # exact: numpy's float64 is a float by inheritance, but weights_only refuses it
        size += VALUE + (len(value) if kind is str else value.bit_length() // 8 if kind is int else 0)
        if size > LARGEST:
            raise ValueError(f"{name} holds more than {LARGEST:,} bytes of values that are no tensors")
        if kind in MAPPINGS or kind in SEQUENCES:
            if depth == DEEPEST:
                raise ValueError(f"{_words(name, place)[:80]}… is nested more than {DEEPEST} levels deep")
            for key, item in value.items() if kind in MAPPINGS else enumerate(value):
                ahead.append((item, (place, "{0}[{1}]", key), depth + 1))
                if kind in MAPPINGS:
                    ahead.append((key, (place, "the key {1} of {0}", key), depth + 1))
        elif kind not in LEAVES:
            raise ValueError(
                f"{_words(name, place)} is a {kind.__module__}.{kind.__qualname__}; a checkpoint holds tensors, "
                "numbers, strings, booleans, None, and dicts, lists and tuples of them: convert it first"
            )


def _words(name: str, place: Place) -> str:
    if not place:
        return name
    container, form, key = place
    return form.format(_words(name, container), shown(key))
