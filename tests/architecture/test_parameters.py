"""The alphas."""

import pytest
import torch
from torch import nn

from nas.architecture import ArchParameters, Choice

CHOICES = [
    Choice("normal/0-2/op", ("a", "b"), "normal/op"),
    Choice("normal/2/input", (0, 1, 2)),
    Choice("normal/1-2/op", ("a", "b"), "normal/op"),
]


def test_every_table_is_a_real_parameter() -> None:
    alphas = ArchParameters(CHOICES)
    assert {name: tuple(value.shape) for name, value in alphas.named_parameters()} == {
        "tables.normal/op": (2, 2),
        "tables.normal/2/input": (1, 3),
    }
    for parameter in alphas.parameters():
        assert isinstance(parameter, nn.Parameter)
        assert parameter.is_leaf
        assert parameter.requires_grad
        assert parameter.dtype == torch.float32


def test_alphas_start_as_scaled_normal_draws() -> None:
    many = [Choice(f"{row}/op", range(50), "op") for row in range(200)]
    alphas = ArchParameters(many, generator=torch.Generator().manual_seed(0)).tables["op"].detach()
    assert alphas.std().item() == pytest.approx(1e-3, rel=0.03)  # DARTS: 1e-3 * randn; 4 deviations of 10,000 draws
    assert alphas.mean().item() == pytest.approx(0.0, abs=4e-5)
    wide = ArchParameters(many, scale=2.0, generator=torch.Generator().manual_seed(0)).tables["op"].detach()
    torch.testing.assert_close(wide, 2000 * alphas)


def test_alphas_follow_from_the_generator() -> None:
    first, again, other = (ArchParameters(CHOICES, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


def test_named_alphas_come_in_the_order_of_declaration() -> None:
    alphas = ArchParameters(CHOICES)
    with torch.no_grad():
        alphas.tables["normal/op"].copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        alphas.tables["normal/2/input"].copy_(torch.tensor([[5.0, 6.0, 7.0]]))
    named = list(alphas.named())
    assert [(name, row.tolist()) for name, row in named] == [
        ("normal/0-2/op", [1.0, 2.0]),
        ("normal/2/input", [5.0, 6.0, 7.0]),
        ("normal/1-2/op", [3.0, 4.0]),
    ]
    assert not any(row.requires_grad for _, row in named)


def test_the_mixture_relaxes_every_table_and_leads_back_to_its_alphas() -> None:
    alphas = ArchParameters(CHOICES)
    mixture = alphas.mixture(lambda table: 3 * table)
    assert torch.equal(mixture["normal/1-2/op"], 3 * alphas.tables["normal/op"][1])
    mixture["normal/1-2/op"].sum().backward()
    assert alphas.tables["normal/op"].grad.tolist() == [[0.0, 0.0], [3.0, 3.0]]
    assert alphas.tables["normal/2/input"].grad is None


def test_alphas_survive_their_state_dict() -> None:
    alphas, other = ArchParameters(CHOICES), ArchParameters(CHOICES)
    other.load_state_dict(alphas.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(alphas.parameters(), other.parameters(), strict=True))
