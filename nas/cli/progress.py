"""What a person sees of a run: its progress, its place, its end."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm


@contextmanager
def progress(
    description: str, steps: int, done: int = 0
) -> Iterator[tuple[Callable[[int], None], Callable[[str], None]]]:
    """(call with the steps done, call with words to show).

    It is silent where standard error is no terminal, or TQDM_DISABLE is 1. `done` of the steps were done before.
    """
    tqdm.set_lock(threading.RLock())  # tqdm's own is shared by processes, and one that is killed would leave it behind
    silent = os.environ.get("TQDM_DISABLE") == "1" or None
    with tqdm(total=steps, initial=done, desc=description, unit="step", disable=silent, dynamic_ncols=True) as bar:

        def reach(done: int) -> None:
            bar.update(done - bar.n)

        yield reach, bar.set_postfix_str


def shown(folder: Path) -> Path:
    """A run directory as a person would type it: relative to the current folder where it lies below."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
