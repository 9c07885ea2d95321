"""One thread a test process, as xdist runs as many processes as there are cores; and searches that draw less."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, and for the processes that tests start

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def plain_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heat maps are drawn once: they are half of the time of a smoke search, and other tests look at them."""
    from nas.cli import search_log

    drawn = search_log.heat_map(torch.full((1, 2), 0.5), ["row"], ["a", "b"], title="the same in every epoch")
    monkeypatch.setattr(search_log, "heat_map", lambda *arguments, **more: drawn)
