"""The value that passes between alphas and supernet."""

import pytest
import torch

from nas.architecture import Choice, ChoiceTables, Mixture, selection


def layout() -> ChoiceTables:
    ops = ("none", "skip", "conv")
    return ChoiceTables([Choice("a", ops, "ops"), Choice("inputs", (0, 1)), Choice("b", ops, "ops")])


def tables() -> dict[str, torch.Tensor]:
    return {"ops": torch.arange(6.0).reshape(2, 3), "inputs": torch.tensor([[0.25, 0.75]])}


def test_a_choice_finds_its_row() -> None:
    mixture = Mixture(layout(), tables())
    assert {name: weights.tolist() for name, weights in mixture.items()} == {
        "a": [0.0, 1.0, 2.0],
        "inputs": [0.25, 0.75],
        "b": [3.0, 4.0, 5.0],
    }
    assert list(mixture) == ["a", "inputs", "b"]
    assert len(mixture) == 3


def test_a_name_that_no_choice_has() -> None:
    mixture = Mixture(layout(), tables())
    with pytest.raises(KeyError, match="there is no choice 'c'; the choices are a, inputs, b"):
        mixture["c"]
    assert "c" not in mixture
    assert mixture.get("c") is None


@pytest.mark.parametrize(
    "changed", [{"ops": torch.zeros(3, 3)}, {"inputs": torch.zeros(2)}, {"more": torch.zeros(1, 1)}]
)
def test_the_tables_must_have_the_shapes_of_the_layout(changed: dict[str, torch.Tensor]) -> None:
    with pytest.raises(AssertionError):
        Mixture(layout(), {**tables(), **changed})


def test_leaves_have_the_values_without_the_graph() -> None:
    alphas = torch.zeros(2, 3, requires_grad=True)
    mixture = Mixture(layout(), {**tables(), "ops": alphas.softmax(dim=-1)})
    leaves = mixture.as_leaves()
    for name, table in leaves.tables.items():
        assert torch.equal(table, mixture.tables[name])
        assert table.is_leaf
        assert table.requires_grad
    (leaves["b"] * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert leaves.tables["ops"].grad.tolist() == [[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]
    assert alphas.grad is None


def test_moving_keeps_the_layout() -> None:
    mixture = Mixture(layout(), tables())
    moved = mixture.to("meta")
    assert list(moved) == list(mixture)
    assert {table.device.type for table in moved.tables.values()} == {"meta"}


def test_a_selection_has_ones_at_what_is_chosen() -> None:
    mixture = selection(layout(), {"a": ("conv",), "inputs": (1, 0)})
    assert mixture.tables["ops"].tolist() == [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    assert mixture.tables["inputs"].tolist() == [[1.0, 1.0]]


def test_a_selection_of_what_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"^choice 'a' has no candidate 'pool'; it has \('none', 'skip', 'conv'\)$"):
        selection(layout(), {"a": ("pool",)})
    with pytest.raises(ValueError, match=r"^there is no choice 'z'"):
        selection(layout(), {"z": ("conv",)})


def test_stacked_weights_are_those_of_the_named_choices_in_their_order() -> None:
    ops = ("none", "skip", "conv")
    choices = [Choice("a", ops, "ops"), Choice("inputs", (0, 1)), Choice("b", ops, "ops"), Choice("width", (8, 16, 32))]
    given = {"ops": torch.arange(6.0).reshape(2, 3), "inputs": torch.zeros(1, 2), "width": torch.full((1, 3), 9.0)}
    mixture = Mixture(ChoiceTables(choices), given).as_leaves()
    stacked = mixture.stacked(["b", "width", "a", "b"])
    assert stacked.tolist() == [[3.0, 4.0, 5.0], [9.0, 9.0, 9.0], [0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert torch.equal(mixture.stacked(["inputs"])[0], mixture["inputs"])
    stacked.backward(torch.arange(12.0).reshape(4, 3))
    assert mixture.tables["ops"].grad.tolist() == [[6.0, 7.0, 8.0], [0.0 + 9.0, 1.0 + 10.0, 2.0 + 11.0]]
    assert mixture.tables["width"].grad.tolist() == [[3.0, 4.0, 5.0]]
    assert mixture.tables["inputs"].grad is None
    with pytest.raises(ValueError, match=r"^there is no choice 'z'"):
        mixture.stacked(["a", "z"])
