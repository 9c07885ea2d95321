"""Costs as people read them."""

import math
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context

DIGITS = 6
"""Of what is not shown to the unit."""


def in_words(cost: float, *, up: bool = False) -> str:
    """A cost with separators: to the unit where it is whole or has six digits before the point, else to six digits.

    It is rounded to the nearest such number, with `up` to one that is not below it.
    """
    if float(cost).is_integer() or abs(cost) >= 10 ** (DIGITS - 1):
        return f"{math.ceil(cost) if up else round(cost):,}"
    rounding = ROUND_CEILING if up else ROUND_HALF_EVEN
    return f"{float(Context(prec=DIGITS, rounding=rounding).create_decimal_from_float(cost)):,.{DIGITS}g}"
