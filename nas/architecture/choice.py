"""A named decision among candidates, and how decisions share alpha tables."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from nas.reading import shown

Candidate = str | int | float

_RESERVED = frozenset(vars(nn.ParameterDict())) | frozenset(dir(nn.ParameterDict))


@dataclass(frozen=True)
class Choice:
    """One decision of a search space: a name and the candidates that it chooses from.

    The name is a path whose last part says what is chosen, such as `normal/0-2/op` or `conv1/width`. Choices with the
    same candidates may name one common `table`: their alphas are then the rows of one matrix (DARTS' alphas_normal).

    Raises:
        ValueError: a name or table that is empty, has a `.` or is one that torch modules use themselves (`train`), a
            string for the candidates, none of them, or one given twice.
    """

    name: str
    candidates: tuple[Candidate, ...]
    table: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.candidates, str):
            raise ValueError(f"the candidates of choice {self.name!r} are {self.candidates!r}; give a tuple of them")
        object.__setattr__(self, "candidates", tuple(self.candidates))
        object.__setattr__(self, "table", self.table or self.name)
        for label in (self.name, self.table):
            if not label or "." in label:
                raise ValueError(f"a choice cannot be called {label!r}: give a name without '.', such as 'conv1/width'")
            if label in _RESERVED:
                raise ValueError(f"a choice cannot be called {label!r}, which torch modules use: try '{label}/op'")
        if not self.candidates:
            raise ValueError(f"choice {self.name!r} has no candidates: give at least one")
        if len(set(self.candidates)) != len(self.candidates):
            raise ValueError(f"choice {self.name!r} names a candidate twice: {self.candidates}; give each once")

    @property
    def kind(self) -> str:
        """What is chosen: the last part of the name, such as `op`, `input` or `width`."""
        return self.name.rsplit("/", 1)[-1]

    def index(self, candidate: Candidate) -> int:
        """The position of a candidate; a ValueError that lists the candidates if it is not one of them."""
        if candidate not in self.candidates:
            raise ValueError(f"choice {self.name!r} has no candidate {shown(candidate)}; it has {self.candidates}")
        return self.candidates.index(candidate)


class ChoiceTables:
    """Where each choice stands: the rows of every alpha table, in the order in which the choices were declared.

    Raises:
        ValueError: no choices, two choices of one name, or choices of one table with different candidates.
    """

    def __init__(self, choices: Iterable[Choice]) -> None:
        self.choices: dict[str, Choice] = {}
        rows: dict[str, list[Choice]] = {}
        for choice in choices:
            if choice.name in self.choices:
                raise ValueError(f"two choices are called {choice.name!r}: give each its own name")
            self.choices[choice.name] = choice
            first = rows.setdefault(choice.table, [choice])[0]
            if first.candidates != choice.candidates:
                raise ValueError(
                    f"choices {first.name!r} and {choice.name!r} share the table {choice.table!r} but not their "
                    f"candidates: {first.candidates} and {choice.candidates}; give them equal candidates or own tables"
                )
            if first is not choice:
                rows[choice.table].append(choice)
        if not rows:
            raise ValueError("a search space needs at least one choice")
        self.rows: Mapping[str, Sequence[Choice]] = {table: tuple(members) for table, members in rows.items()}
        self._position = {
            choice.name: (table, row) for table, members in self.rows.items() for row, choice in enumerate(members)
        }

    def shape(self, table: str) -> tuple[int, int]:
        """(rows, candidates) of a table."""
        members = self.rows[table]
        return len(members), len(members[0].candidates)

    def position(self, name: str) -> tuple[str, int]:
        """The table and the row of a choice; a ValueError that lists the choices if there is none of this name."""
        if name not in self._position:
            raise ValueError(f"there is no choice {name!r}; the choices are {', '.join(self.choices)}")
        return self._position[name]
