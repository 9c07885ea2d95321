"""YAML that says no more than it shows."""

import yaml

from nas.reading.words import one_line, shown

DEEPEST = 64
"""Levels of lists and mappings; configs have fewer than ten."""
LARGEST = 100_000
"""Values, each alias written out in full: a few lines can name one list so often that it never ends."""
LONGEST_NUMBER = 1_000
"""Characters of a word that may be a number: Python reads none of 5,000 digits."""

PLAIN = (None, "!", "tag:yaml.org,2002:str")
"""Tags that make nothing else of what they stand at."""


def check_yaml(text: str) -> None:
    """A ValueError unless a text is YAML that stays small when it is written out, without tags.

    It goes through the events, in one pass: nothing is made of what an alias or a tag would refer to.
    """
    size = _Size()
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            size.add(event)
    except yaml.YAMLError as error:
        raise ValueError(one_line(error)) from None


class _Size:
    """How many values a document has, as its events come; `_levels` are the anchors and values of what is open."""

    def __init__(self) -> None:
        self._of_anchors: dict[str, int] = {}
        self._levels: list[tuple[str | None, int]] = [(None, 0)]

    def add(self, event: yaml.Event) -> None:
        """Counts an event; a ValueError for one too many, or with a tag."""
        if (tag := getattr(event, "tag", None)) not in PLAIN:
            raise ValueError(f"it has the tag {shown(tag)}: write the value itself")
        if isinstance(event, yaml.CollectionStartEvent):
            self._levels.append((event.anchor, 0))
            if len(self._levels) > DEEPEST:
                raise ValueError(f"it is nested more than {DEEPEST} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = self._levels.pop()
            self._count(anchor, size + 1)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._of_anchors:
                raise ValueError(f"its alias {shown(event.anchor)} is of nothing, or of what it is in itself")
            self._count(None, self._of_anchors[event.anchor])
        elif isinstance(event, yaml.ScalarEvent):
            if event.style is None and len(event.value) > LONGEST_NUMBER:
                raise ValueError(f"{shown(event.value)} is too long a word: write it in quotes")
            self._count(event.anchor, 1)

    def _count(self, anchor: str | None, size: int) -> None:
        if anchor is not None:
            self._of_anchors[anchor] = size
        outer, before = self._levels[-1]
        self._levels[-1] = outer, before + size
        if before + size > LARGEST:
            raise ValueError(f"written out it has more than {LARGEST:,} values")
