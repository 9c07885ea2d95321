"""Where the time of a program goes, watched from outside."""

import functools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

Place = tuple[Any, str]
"""A module or a class, and the name of a function in it."""

OTHER = "other"


class Stopwatch:
    """Seconds by part of a program, each without the parts inside it: they sum up to the time since it was made.

    `settle` waits until the device has done what it was told; it is called whenever one part gives way to another, so
    that a part pays for the work that it ordered.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.perf_counter, settle: Callable[[], object] = lambda: None
    ) -> None:
        self.clock = clock
        self.settle = settle
        self._seconds: Counter[str] = Counter()
        self._running = [OTHER]
        self._since = clock()

    def read(self) -> dict[str, float]:
        """The seconds of every part so far."""
        self._charge()
        return dict(self._seconds)

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time charged to a part."""

        @functools.wraps(function)
        def run(*arguments: Any, **more: Any) -> Any:
            self._charge()
            self._running.append(part)
            try:
                return function(*arguments, **more)
            finally:
                self._charge()
                self._running.pop()

        return run

    def _charge(self) -> None:
        self.settle()
        now = self.clock()
        self._seconds[self._running[-1]] += now - self._since
        self._since = now


@contextmanager
def watched(parts: Mapping[str, Sequence[Place]], watch: Stopwatch) -> Iterator[None]:
    """A block in which the functions at these places are timed; an AttributeError if one is not there."""
    with ExitStack() as stack:
        for part, places in parts.items():
            for owner, name in places:
                stack.enter_context(patch.object(owner, name, watch.timed(part, getattr(owner, name))))
        yield
