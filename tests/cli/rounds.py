"""A job of several processes that only a signal ends."""

import os
import signal
import time
from pathlib import Path

from nas.cli.processes import begin
from nas.cli.resuming import Keeper
from nas.cli.signals import Stopped, StopSignals
from nas.parallel import Seat, joined
from tests.cli.works import CPU


def go_round(job: str, seat: Seat) -> str:
    """Steps until a signal is heard by one of the ranks; each leaves in the folder of `job` which was its last.

    `job` is FOLDER HOW. Each rank leaves there that it has joined; then all are set up, or rank 1 is told of a signal
    before it is, or it never is.
    """
    place, how = job.split()
    folder, signals = Path(place), StopSignals(["SIGTERM"], alone=seat.size == 1)
    with signals, joined(seat, device=CPU, together=Stopped) as ranks:
        (folder / f"joined{ranks.rank}").write_text(str(os.getpid()))
        if ranks.rank == 1 and how == "told":
            signal.raise_signal(signal.SIGTERM)
        if ranks.rank == 1 and how == "never":
            time.sleep(600)
        begin(seat, ranks, signals)
        steps: list[int] = []
        keeper = Keeper(folder, None, lambda: {"steps": list(steps)}, epoch=0, signals=signals, ranks=ranks)
        try:
            for step in range(1, 1000):
                time.sleep(0.01)
                steps.append(step)
                (folder / f"stepped{ranks.rank}").touch()
                keeper.after_step(step)
        finally:
            (folder / f"last{ranks.rank}").write_text(str(steps[-1]))
    return "never stopped"
