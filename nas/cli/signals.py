"""Signals that end a run in good order."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from types import FrameType, TracebackType
from typing import Any

STOPPING = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGALRM", "SIGTSTP")
"""Those that can be chosen: others cannot be heard, or say that the program is broken."""

TOGETHER = 1.0
"""Seconds in which one that comes again is the same: `timeout` and schedulers tell a process and then its group."""


class Stopped(BaseException):
    """A run that a signal ended in good order; not an Exception, so that nobody takes it for a failure."""

    def __init__(self, number: int, where: str) -> None:
        super().__init__(number, where)
        self.number = number
        self.where = where

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.number).name} {self.where}"

    @property
    def status(self) -> int:
        """The exit status by which shells tell of a signal."""
        return 128 + self.number


class StopSignals:
    """Hears the named signals while it is entered; in the main thread, as others hear none.

    The first one is remembered as `heard`, and `then(number)` is called; by default it raises Stopped with `where`,
    words for what is going on. The next one does what Python does by itself. A process that is not `alone`, but one of
    several that another process ends, only remembers. What this process was started to ignore stays ignored.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        where: str = "before the first step",
        then: Callable[[int], None] | None = None,
        alone: bool = True,
    ) -> None:
        self.numbers = [signal.Signals[name] for name in names]
        self.where = where
        self.heard = 0
        self.alone = alone
        self._then = then or (self._stop if alone else _remember)
        self._since = 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in self.numbers:
                if signal.getsignal(number) != signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._hear)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.numbers)  # see `unheard`
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """In this block the first one is remembered only; it is for the block to look at `heard`, and to stop."""
        then, self._then = self._then, _remember
        try:
            yield
        finally:
            self._then = then
        if self.heard:
            then(self.heard)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.heard:
            self.heard, self._since = number, now
            self._then(number)
        elif self.alone and now - self._since > TOGETHER:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            signal.raise_signal(number)

    def _stop(self, number: int) -> None:
        raise Stopped(number, self.where)


def _remember(number: int) -> None:
    pass


def tell(processes: Iterable[BaseProcess], number: int) -> None:
    """Sends a signal to those that run."""
    for process in processes:
        if process.pid is not None and process.exitcode is None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)


@contextmanager
def unheard(numbers: Iterable[int]) -> Iterator[None]:
    """Signals wait until this block ends; in processes started in it, until they enter StopSignals themselves."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
