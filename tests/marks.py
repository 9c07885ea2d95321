"""Marks of cases."""

from typing import Any

import pytest


def slow(*cases: Any) -> list[Any]:
    """Cases of a parametrization that are left to `pytest -m slow`; a tuple has a value for each argument."""
    return [pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow) for case in cases]
