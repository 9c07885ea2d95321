"""Jobs of several processes that end in every way."""

import os
import signal
import time
from pathlib import Path

import torch

from nas.parallel import Seat, joined

CPU = torch.device("cpu")


def add_up(job: str, seat: Seat) -> str:
    """The sum of all ranks' numbers, in words."""
    with joined(seat, device=CPU) as ranks:
        total = ranks.total(torch.tensor([ranks.rank + 1.0]))
        return f"{job}: {total.item()} by rank {ranks.rank} in {Path.cwd().name}"


def break_down(job: str, seat: Seat) -> str:
    """Rank 1 ends as `job`, FOLDER HOW, says; rank 0 waits for its number, or is busy with something else."""
    folder, how = job.split()
    (Path(folder) / f"pid{seat.rank}").write_text(str(os.getpid()))
    with joined(seat, device=CPU) as ranks:
        ranks.total(torch.ones(1))
        if ranks.rank == 1:
            if how == "mistake":
                raise ValueError("image 7 does not decode")
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if how == "bug":
                raise LookupError("a bug")
            os._exit(3)
        if how == "killed":
            time.sleep(600)
        return str(ranks.total(torch.ones(1)))
