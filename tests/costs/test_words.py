"""Costs as people read them."""

import pytest

from nas.costs.words import in_words


@pytest.mark.parametrize(
    ("cost", "nearest", "above"),
    [
        (109021870.0, "109,021,870", "109,021,870"),
        (80803712.25, "80,803,712", "80,803,713"),
        (123456.5, "123,456", "123,457"),
        (54321.25, "54,321.2", "54,321.3"),
        (1234.0, "1,234", "1,234"),
        (0.0012, "0.0012", "0.0012"),
        (0.00123456449, "0.00123456", "0.00123457"),
        (1e-7, "1e-07", "1e-07"),
        (99999.96, "100,000", "100,000"),
        (0.0, "0", "0"),
    ],
)
def test_six_digits_or_all_before_the_point(cost: float, nearest: str, above: str) -> None:
    assert in_words(cost) == nearest
    assert in_words(cost, up=True) == above
    assert float(above.replace(",", "")) >= cost
