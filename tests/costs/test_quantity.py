"""Numbers that choices decide."""

from nas.costs import Quantity


def test_a_choice_that_both_depend_on_counts_twice() -> None:
    width = Quantity(1, {"a": (4.0, 8.0)})
    both = width + width + Quantity(2, {"b": (1.0, 3.0)})
    assert both == Quantity(4, {"a": (8.0, 16.0), "b": (1.0, 3.0)})
    assert both.at({"a": 1, "b": 0}) == 4 + 16 + 1
    assert sum(values[index] for (_, values), index in zip(both.addends(), (1, 0), strict=True)) == 21
