"""A relaxation that fails on rank 1 alone."""

import os
import signal

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
