"""JSON as every program reads it alike."""

import json
import math
from typing import Any

from nas.reading.words import one_line, shown

DEEPEST = 64
"""Levels of lists and objects; what this program writes has fewer than ten."""
LARGEST_INTEGER = 2**63 - 1
"""What other readers of JSON can hold, and what turns into a float without an error."""


def parse_json(text: str | bytes) -> Any:
    """The data of a JSON text in UTF-8.

    Raises:
        ValueError: text that is not JSON, or that says what readers of JSON take differently: a key twice in one
            object, NaN, an infinity, an integer of more than 64 bits, half a surrogate pair; or data nested too deeply.
    """
    try:
        data = json.loads(text if isinstance(text, str) else text.decode(), object_pairs_hook=_each_once)
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from None
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep") from None
    _check(data, DEEPEST)
    return data


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"it has the key {shown(twice)} twice")
    return data


def _check(value: Any, levels: int) -> None:
    if isinstance(value, dict | list):
        if levels == 0:
            raise ValueError(f"it is nested more than {DEEPEST} levels deep")
        for key in value if isinstance(value, dict) else ():
            _check(key, levels - 1)
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, levels - 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"it holds {value}, which is no number of JSON")
    elif isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise ValueError(f"it holds {shown(value)}, an integer of more than 64 bits")
    elif isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"it holds {one_line(ascii(value[:40]))}, which is no text") from None
