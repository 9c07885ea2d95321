"""The one value that passes between alphas and supernet."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from nas.architecture.choice import Candidate, ChoiceTables


class Mixture(Mapping[str, Tensor]):
    """A weight for every candidate of every choice: what a relaxation returns and all that a supernet sees of alphas.

    `mixture[choice_name]` has shape (candidates,); `mixture.tables[table]` has shape (rows, candidates) and holds the
    weights of all choices that share the table. A mixture whose rows are one-hot *is* an architecture.
    """

    def __init__(self, layout: ChoiceTables, tables: Mapping[str, Tensor]) -> None:
        assert {name: tuple(table.shape) for name, table in tables.items()} == {t: layout.shape(t) for t in layout.rows}
        self.layout = layout
        self.tables = dict(tables)

    def __getitem__(self, name: str) -> Tensor:
        try:
            table, row = self.layout.position(name)
        except ValueError as error:
            raise KeyError(str(error)) from None  # what a mapping raises
        return self.tables[table][row]

    def __iter__(self) -> Iterator[str]:
        return iter(self.layout.choices)

    def __len__(self) -> int:
        return len(self.layout.choices)

    def stacked(self, names: Sequence[str]) -> Tensor:
        """The weights of choices that have equally many candidates, (names, candidates)."""
        places = [self.layout.position(name) for name in names]
        rows = {table: self.tables[table].unbind() for table in {table for table, _ in places}}
        return torch.stack([rows[table][row] for table, row in places])

    def as_leaves(self) -> "Mixture":
        """The same values as leaves that ask for a gradient: dL/dm without the graph back to alphas."""
        return Mixture(self.layout, {name: table.detach().requires_grad_() for name, table in self.tables.items()})

    def to(self, device: torch.device | str) -> "Mixture":
        """The same mixture on another device."""
        return Mixture(self.layout, {name: table.to(device) for name, table in self.tables.items()})


def selection(layout: ChoiceTables, chosen: Mapping[str, tuple[Candidate, ...]]) -> Mixture:
    """The mixture that has weight 1 at each chosen candidate and 0 elsewhere; a choice left out has no weight at all.

    One candidate a choice gives a one-hot row; several give a row with several ones (two kept inputs of a node).
    """
    tables = {name: torch.zeros(layout.shape(name)) for name in layout.rows}
    for name, candidates in chosen.items():
        table, row = layout.position(name)
        for candidate in candidates:
            tables[table][row, layout.choices[name].index(candidate)] = 1.0
    return Mixture(layout, tables)


def likeliest(mixture: Mixture) -> Mixture:
    """The one-hot mixture of the largest weight of every choice, without a gradient; the first one on ties."""
    tables = {
        name: torch.zeros_like(weights).scatter(-1, weights.argmax(dim=-1, keepdim=True), 1.0)
        for name, weights in mixture.tables.items()
    }
    return Mixture(mixture.layout, tables)
