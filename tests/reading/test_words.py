"""What a stranger wrote, in a message."""

import torch

from experiments.faults.value_mutations import nested
from nas.reading import differences, one_line, shown


def test_a_line_has_no_breaks_and_nothing_that_a_terminal_obeys() -> None:
    assert one_line("two\n  lines\r\u2028 \x1b[2Jand\ttabs\x00") == "two lines [2Jand tabs"
    assert one_line("µ → 😀") == "µ → 😀"
    assert len(one_line("x" * 10**6)) == 2_000


def test_any_value_is_short() -> None:
    assert shown("a") == "'a'"
    assert shown({"a": [1, None]}) == "{'a': [1, None]}"
    for value in ("x" * 10**6, ["y" * 90] * 10**5, nested(500), {str(n): nested(50) for n in range(1000)}, 16**5000):
        assert len(shown(value)) <= 120


def test_differences_of_a_state_dict() -> None:
    with torch.device("meta"):
        network = torch.nn.Linear(10**6, 10**6)
    weights = {"weight": torch.zeros(3, 2), "bias": 3, "x\ny": torch.zeros(1)}
    assert list(differences(network, weights)) == [
        r"'x\ny' is not in the network",
        "weight is [3, 2] there and [1000000, 1000000] in the network",
        "bias is 3, which is no tensor",
    ]
    assert next(differences(network, {})) == "weight is missing"
    fitting = torch.nn.Linear(2, 3)
    assert list(differences(fitting, fitting.state_dict())) == []
