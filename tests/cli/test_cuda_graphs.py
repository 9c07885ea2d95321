"""`cuda_graphs`: who asks for them gets them, a warning or an error."""

from dataclasses import dataclass, field

import pytest
import torch

from nas.optimization import RecordingError
from nas.search import _record_steps


@dataclass
class Process:
    """A search whose steps can be recorded, unless it has an error."""

    error: Exception | None = None
    recorded: list[bool] = field(default_factory=list)

    def record_steps(self) -> None:
        if self.error:
            raise self.error
        self.recorded.append(True)


@dataclass
class Parts:
    """What a search is made of, as far as this is about it."""

    process: Process
    device: torch.device


GPU, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.mark.parametrize(
    ("wanted", "device", "recorded"),
    [("auto", GPU, True), (True, GPU, True), (False, GPU, False), ("auto", CPU, False), (False, CPU, False)],
)
def test_auto_means_on_a_gpu(wanted: bool | str, device: torch.device, recorded: bool) -> None:
    process = Process()
    _record_steps(Parts(process, device), wanted)
    assert process.recorded == [True] * recorded


@pytest.mark.parametrize("wanted", ["auto", True])
def test_steps_that_cannot_be_recorded_are_told_in_one_line(
    wanted: bool | str, capsys: pytest.CaptureFixture[str]
) -> None:
    _record_steps(Parts(Process(RecordingError("the weight optimizer is RMSprop")), GPU), wanted)
    assert capsys.readouterr().err == (
        "warning: the search runs without CUDA graphs: the weight optimizer is RMSprop\n"
    )


def test_a_method_without_such_steps_refuses_only_who_asks_for_them(capsys: pytest.CaptureFixture[str]) -> None:
    parts = Parts(Process(ValueError("a random search lacks them")), GPU)
    _record_steps(parts, "auto")
    with pytest.raises(ValueError, match="lacks them"):
        _record_steps(parts, True)
    assert capsys.readouterr().err == ""
