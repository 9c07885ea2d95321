"""Relaxations that fail, on one rank or in one run."""

import os
import signal
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from nas.relaxation import Softmax


class FailsOnOneRank(Softmax):
    """Softmax, until rank 1 is to sample for the third time."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.samples = 0

    def sample(self, alphas: Tensor) -> Tensor:
        self.samples += 1
        if self.samples == 3 and dist.get_rank() == 1:
            if self.how == "mistake":
                raise ValueError("rank 1 found a mistake")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().sample(alphas)


class DiesOnce(Softmax):
    """Softmax, but a run of seed 2 that samples for the third time ends its process, if `mark` is no file."""

    def __init__(self, mark: str, status: int | None = None) -> None:
        self.mark = Path(mark)
        self.status = status
        self.samples = 0

    def sample(self, alphas: Tensor) -> Tensor:
        self.samples += 1
        if self.samples == 3 and torch.initial_seed() == 2 and not self.mark.exists():
            self.mark.touch()
            if self.status is not None:
                os._exit(self.status)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().sample(alphas)
