"""One job on several devices: on processes started here, or on those of torchrun."""

import sys
import traceback
from collections.abc import Callable, Sequence

from nas.cli.mistakes import in_one_line
from nas.cli.processes import Work, started_here
from nas.cli.signals import Stopped
from nas.parallel import Seat, torchrun_seat


def on_devices(work: Work, job: str, devices: int, *, stop_signals: Sequence[str] = ()) -> str:
    """What `work(job, seat)` returns on rank 0 of `devices` processes; `work` is a function of a module.

    One device needs no other process. Under torchrun this is rank 0, and the others take the job in `led`. `work` hears
    the stop signals; processes started here are told of what this one hears.

    Raises:
        Mistakes: a mistake of a person, found by any of the processes.
        LostProcessError: a process that was killed; the others are stopped.
        Stopped: the processes agreed to stop.
    """
    if devices == 1:
        return work(job, Seat())
    seat = torchrun_seat()
    if seat is None or seat.board is None:
        return started_here(work, job, devices, stop_signals=stop_signals)
    seat.board.write("job", job)
    try:
        return work(job, seat)
    except Exception:
        if seat.board.is_first("failures"):
            raise
        sys.exit(1)  # a consequence of what another process said


def led(command: Callable[[], int], work: Work) -> int:
    """Runs a command and returns its status. Under torchrun rank 0 does, and the others work on the job that it gives.

    They never see the command line, so that nothing is said or written twice and all have one run directory.
    """
    seat = torchrun_seat()
    if seat is None or seat.board is None:
        return command()
    if seat.rank == 0:
        try:
            return command()
        finally:
            seat.board.write("job", "")  # all have it, or there is none
    try:
        if job := seat.board.read("job"):
            work(job, seat)
    except Stopped as stop:
        return stop.status
    except Exception as error:
        if seat.board.is_first("failures"):
            lines = [f"error: {line}" for line in in_one_line(error)]
            print(*lines or [traceback.format_exc()], sep="\n", file=sys.stderr)
        return 1
    return 0


def one_job(arguments: Sequence[str]) -> list[str]:
    """No further arguments; a ValueError for a sweep under torchrun."""
    if torchrun_seat() is not None and {"-m", "--multirun"} & {*arguments}:
        raise ValueError("torchrun runs one job and no sweep; leave torchrun out: trainer.devices=N starts processes")
    return []
