"""Choices and how they share alpha tables."""

import pytest

from nas.architecture import Choice, ChoiceTables

OPERATORS = ("none", "skip", "conv")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", ("a",)), "a choice cannot be called '': give a name without '.', such as 'conv1/width'"),
        (("conv1.width", (1,)), "a choice cannot be called 'conv1.width': give a name without '.', such as"),
        (("conv1", (1,), "all.widths"), "a choice cannot be called 'all.widths': give a name without '.'"),
        (("conv1/width", ()), "choice 'conv1/width' has no candidates: give at least one"),
        (("conv1/width", (4, 8, 4)), "choice 'conv1/width' names a candidate twice: (4, 8, 4); give each once"),
    ],
)
def test_what_is_no_choice(arguments: tuple[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        Choice(*arguments)
    assert str(error.value).startswith(message)


def test_a_choice_says_what_it_chooses_and_has_a_table_of_its_own() -> None:
    choice = Choice("normal/0-2/op", ["none", "skip"])
    assert choice.kind == "op"
    assert choice.table == "normal/0-2/op"
    assert choice.candidates == ("none", "skip")
    assert Choice("width", (4,)).kind == "width"


def test_the_index_of_a_candidate() -> None:
    choice = Choice("conv1/width", (4, 8, 16))
    assert [choice.index(width) for width in (4, 8, 16)] == [0, 1, 2]
    with pytest.raises(ValueError, match=r"^choice 'conv1/width' has no candidate 5; it has \(4, 8, 16\)$"):
        choice.index(5)


def test_rows_follow_the_order_of_declaration() -> None:
    choices = [
        Choice("b/op", OPERATORS, table="ops"),
        Choice("width", (4, 8)),
        Choice("a/op", OPERATORS, table="ops"),
        Choice("c/op", OPERATORS, table="ops"),
    ]
    layout = ChoiceTables(choices)
    assert list(layout.choices) == ["b/op", "width", "a/op", "c/op"]
    assert list(layout.rows) == ["ops", "width"]
    assert [choice.name for choice in layout.rows["ops"]] == ["b/op", "a/op", "c/op"]
    assert layout.shape("ops") == (3, 3)
    assert layout.shape("width") == (1, 2)
    assert [layout.position(choice.name) for choice in choices] == [("ops", 0), ("width", 0), ("ops", 1), ("ops", 2)]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ([], "a search space needs at least one choice"),
        ([Choice("a", (1,)), Choice("a", (2,))], "two choices are called 'a': give each its own name"),
        (
            [Choice("a", (1, 2), "t"), Choice("b", (2, 1), "t")],
            "choices 'a' and 'b' share the table 't' but not their candidates: (1, 2) and (2, 1); "
            "give them equal candidates or own tables",
        ),
    ],
)
def test_what_is_no_layout(choices: list[Choice], message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        ChoiceTables(choices)
    assert str(error.value) == message


def test_a_name_that_no_choice_has() -> None:
    layout = ChoiceTables([Choice("a", (1,)), Choice("b", (1,))])
    with pytest.raises(ValueError, match=r"^there is no choice 'c'; the choices are a, b$"):
        layout.position("c")


@pytest.mark.parametrize("name", ["train", "type", "half", "keys", "_parameters"])
def test_names_that_modules_use_themselves(name: str) -> None:
    with pytest.raises(ValueError, match=f"a choice cannot be called '{name}', which torch modules use"):
        Choice(name, (1, 2))


def test_a_string_is_no_tuple_of_candidates() -> None:
    with pytest.raises(ValueError, match="give a tuple of them"):
        Choice("a", "abc")  # type: ignore[arg-type]
