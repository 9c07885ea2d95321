"""Processes that share a job on this machine: their start, their end, and what they say if they fail."""

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import connection, get_context, parent_process, resource_tracker
from multiprocessing.process import BaseProcess

from nas.cli.mistakes import Mistakes, in_one_line
from nas.cli.signals import Stopped, StopSignals, tell, unheard
from nas.parallel import Board, Ranks, Seat

Work = Callable[[str, Seat], str]
"""What each process does with the text of a job; what rank 0 returns is for the person."""

PATIENCE = 5.0
"""Seconds in which it is still to be seen why a process failed."""


class LostProcessError(ValueError):
    """A process of a job was killed."""


READY = "ready"
"""The text on the board from which on a signal waits for the end of a step."""


def begin(seat: Seat, ranks: Ranks, signals: StopSignals) -> None:
    """All is set up, and the first step comes next; all ranks say so together.

    Raises:
        Stopped: a signal that one of them heard while it was set up.
    """
    if number := ranks.highest(signals.heard):
        raise Stopped(number, signals.where)
    if seat.board is not None and seat.rank == 0:
        seat.board.write(READY, "")


def started_here(work: Work, job: str, size: int, *, stop_signals: Sequence[str] = ()) -> str:
    """What `work(job, seat)` returns on rank 0 of `size` new processes; none of them is left when this ends.

    They are told of the stop signals that this one hears once they `begin`; before, a signal ends them at once.

    Raises:
        Mistakes, LostProcessError, RuntimeError: why a process failed; the others are stopped.
        Stopped: the processes agreed to stop, or a signal came before they began.
    """
    board = Board()
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # DDP warns that it looks for unused parameters
    context = get_context("spawn")
    processes = [
        context.Process(target=_process, args=(work, job, board.port, rank, size, os.getcwd())) for rank in range(size)
    ]

    def hear(number: int) -> None:
        if not board.has(READY):
            raise Stopped(number, signals.where)
        tell(processes, number)

    with StopSignals(stop_signals, then=hear) as signals:
        try:
            resource_tracker.ensure_running()  # it would end what `unheard` begins
            with unheard({*signals.numbers, signal.SIGINT}):
                for process in processes:
                    process.start()
            _wait(processes, board)
        finally:
            end_all(processes)
    if board.has("stopped"):
        raise Stopped(*json.loads(board.read("stopped")))
    return board.read("result")


def _process(work: Work, job: str, port: int, rank: int, size: int, folder: str) -> None:
    """The life of a process."""
    os.chdir(folder)
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    status = _done(work, job, Seat(rank, size, board := Board(port)), board)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # a process that takes itself apart beside threads of its connections may abort


def _done(work: Work, job: str, seat: Seat, board: Board) -> int:
    """Leaves what there is to say on the board; the status to end with."""
    try:
        result = work(job, seat)
        if seat.rank == 0:
            board.write("result", result)
    except Stopped as stop:
        if seat.rank == 0:
            board.write("stopped", json.dumps([stop.number, stop.where]))
    except Exception as error:
        if board.is_first("failures"):
            board.write("failure", json.dumps([in_one_line(error), traceback.format_exc()]))
        return 1
    return 0


def end_with_the_parent() -> None:
    """Ends this process as soon as the one that started it has ended, however that ended."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _wait(processes: Sequence[BaseProcess], board: Board) -> None:
    """Waits until all have ended well, or raises why one did not."""
    while not any(codes := [process.exitcode for process in processes]):
        running = [process.sentinel for process, code in zip(processes, codes, strict=True) if code is None]
        if not running:
            return
        connection.wait(running)
    deadline = time.monotonic() + PATIENCE
    while not (reason := _reason(processes, board)) and time.monotonic() < deadline:
        time.sleep(0.05)  # a connection broke: who broke it is still to be seen
    raise reason or RuntimeError(_trace(board))


def _reason(processes: Sequence[BaseProcess], board: Board) -> Exception | None:
    """Who was killed, or what mistake was found; nothing for an error of the program, which may be a consequence.

    A process that aborts after one of them said why it failed was not killed: its connections were cut as it ended.
    """
    consequences = {-signal.SIGABRT} if board.has("failure") else set()
    for rank, process in enumerate(processes):
        if process.exitcode is not None and process.exitcode < 0 and process.exitcode not in consequences:
            return LostProcessError(
                f"process {rank} of trainer.devices={len(processes)} was {ending(process.exitcode)}; "
                "the others were stopped"
            )
    lines = json.loads(board.read("failure"))[0] if board.has("failure") else []
    return Mistakes(lines) if lines else None


def _trace(board: Board) -> str:
    if not board.has("failure"):
        return "a process of the job ended without a word"
    return f"a process of the job failed\n\n{json.loads(board.read('failure'))[1]}"


def ending(code: int) -> str:
    """How a process ended, by its status."""
    names = {int(number): number.name for number in signal.Signals}
    if code < 0:
        hint = "; a lack of memory may be the reason" if -code == signal.SIGKILL else ""
        return f"ended by {names.get(-code, f'signal {-code}')}{hint}"
    return f"stopped by {names[code - 128]}" if code - 128 in names else f"ended with status {code}"


def end_all(processes: Sequence[BaseProcess]) -> None:
    """Ends those that still run."""
    started = [process for process in processes if process.pid is not None]
    for process in started:
        process.kill()
    for process in started:
        process.join()
