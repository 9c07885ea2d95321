"""`cuda_graphs` where steps cannot be recorded."""

import pytest

from nas.optimization import RecordingError
from nas.search import _record_steps


class Process:
    """A search whose steps cannot be recorded."""

    def record_steps(self) -> None:
        raise RecordingError("the weight optimizer is RMSprop")


def test_steps_that_cannot_be_recorded_are_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    _record_steps(Process())
    assert capsys.readouterr().err == (
        "warning: the search runs without CUDA graphs: the weight optimizer is RMSprop\n"
    )
