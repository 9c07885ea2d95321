"""The text form in which the authors of cell-search papers publish genotypes, read without evaluating it."""

import ast
import warnings
from typing import Any

from nas.architecture import Genotype
from nas.reading import one_line, shown
from search_spaces.cells.decisions import KINDS, CellDecisions, from_genotype, to_genotype

EXAMPLE = "Genotype(normal=[('sep_conv_3x3', 1), …], normal_concat=range(2, 6), reduce=[…], reduce_concat=[2, 3, 4, 5])"

LONGEST = 20_000
"""Characters: ten times those of the largest published one; Python's parser is quadratic in some texts."""


def parse(text: str, space: str = "darts") -> Genotype:
    """Reads `[NAME =] Genotype(normal=[…], normal_concat=…, reduce=[…], reduce_concat=…)`, two genes a node.

    Raises:
        ValueError: text of another form; the message says what is allowed.
    """
    fields = _fields(text)
    wanted = [field for kind in KINDS for field in (kind, f"{kind}_concat")]
    if sorted(fields) != sorted(wanted):
        raise ValueError(
            f"a genotype in the authors' form has the fields {', '.join(wanted)}, not {one_line(', '.join(fields))}"
        )
    cells = {kind: CellDecisions(_nodes(kind, fields[kind]), _numbers(fields[f"{kind}_concat"])) for kind in KINDS}
    return to_genotype(space, {}, cells)


def write(genotype: Genotype) -> str:
    """The authors' form of a genotype with two genes a node; a ValueError if it has others."""
    parts = []
    for kind, cell in from_genotype(genotype).items():
        if any(len(genes) != 2 for genes in cell.nodes):
            raise ValueError("the authors' form holds two (operator, input) pairs a node; this genotype has others")
        parts.append(f"{kind}={[gene for genes in cell.nodes for gene in genes]}, {kind}_concat={list(cell.concat)}")
    return f"Genotype({', '.join(parts)})"


def _fields(text: str) -> dict[str, Any]:
    if len(text) > LONGEST:
        raise ValueError(f"this is not a genotype in the authors' form: it has more than {LONGEST:,} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python thinks of the style of the text
            statements = ast.parse(text.strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        statements = []
    plain = len(statements) == 1 and isinstance(statements[0], ast.Expr | ast.Assign)
    call = statements[0].value if plain else None  # type: ignore[attr-defined]
    if (
        not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Genotype")
        or call.args
        or not all(word.arg for word in call.keywords)
    ):
        raise ValueError(f"this is not a genotype in the authors' form; that is {EXAMPLE}")
    names = [str(word.arg) for word in call.keywords]
    if len(set(names)) != len(names):
        raise ValueError(
            f"a genotype in the authors' form gives each field once; this one gives {one_line(', '.join(names))}"
        )
    return {name: _value(word.value) for name, word in zip(names, call.keywords, strict=True)}


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        bounds = [_value(argument) for argument in node.args]
        if 1 <= len(bounds) <= 2 and all(type(bound) is int and 0 <= bound <= 99 for bound in bounds):
            return list(range(*bounds))
    elif not isinstance(node, ast.Call):
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, RecursionError, MemoryError):
            pass
    raise ValueError(f"{_shown(node)} has no place in a genotype; write lists, pairs, strings, numbers, range(a, b)")


def _shown(node: ast.expr) -> str:
    try:
        return one_line(ast.unparse(node)[:80])
    except (RecursionError, ValueError):
        return f"a {type(node).__name__}"


def _nodes(kind: str, genes: Any) -> tuple[tuple[tuple[str, int], ...], ...]:
    if not isinstance(genes, list) or not genes or len(genes) % 2:
        raise ValueError(f"{kind} is a list of (operator, input) pairs, two for each node; this is {shown(genes)}")
    for gene in genes:
        if not (isinstance(gene, tuple | list) and [type(part) for part in gene] == [str, int]):
            raise ValueError(f"{kind} holds {shown(gene)}; give (operator, input) pairs such as ('sep_conv_3x3', 0)")
    pairs = [(operator, source) for operator, source in genes]
    return tuple(tuple(pairs[first : first + 2]) for first in range(0, len(pairs), 2))


def _numbers(concat: Any) -> tuple[int, ...]:
    if not isinstance(concat, list | tuple) or not all(type(number) is int for number in concat):
        raise ValueError(f"a concatenation is a list of node numbers or a range; this is {shown(concat)}")
    return tuple(concat)
