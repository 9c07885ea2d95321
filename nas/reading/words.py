"""What a stranger wrote, in a message of one line."""

import reprlib
from typing import Any

LONGEST = 2_000
"""Characters of a message: room for every list of names that the program shows, and still a screen at most."""
SHOWN = 120
"""Characters of a value within a message."""
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = SHOWN - 20


def one_line(message: object) -> str:
    """A message without line breaks and control characters, which a terminal would obey, cut if it is very long."""
    printable = "".join(character if character.isprintable() else " " for character in str(message)[: 2 * LONGEST])
    return _cut(" ".join(printable.split()), LONGEST)


def shown(value: Any) -> str:
    """A value in a message, however large or deep it is."""
    try:
        return _cut(one_line(_REPR.repr(value)), SHOWN)
    except ValueError:  # an integer of more digits than Python writes down
        return f"a {type(value).__name__} too long to show"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
