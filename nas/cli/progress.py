"""What a person sees of a run: its progress, its place, its end."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from nas.optimization import NonFiniteLossError


@contextmanager
def progress(description: str, steps: int, done: int = 0) -> Iterator[tuple[Callable[[], None], Callable[[str], None]]]:
    """(call after each step, call with words to show); silent where standard error is no terminal.

    `done` of the steps were done before.
    """
    tqdm.set_lock(threading.RLock())  # tqdm's own is shared by processes, and one that is killed would leave it behind
    with tqdm(total=steps, initial=done, desc=description, unit="step", disable=None, dynamic_ncols=True) as bar:

        def step() -> None:
            bar.update()

        yield step, bar.set_postfix_str


@contextmanager
def last_good_state_named(folder: Path) -> Iterator[None]:
    """Adds to the error of a diverged run where the last good state is."""
    try:
        yield
    except NonFiniteLossError as error:
        kept = f"the state after epoch {error.epoch - 1} is kept in {folder / 'checkpoint.pt'}"
        hint = "try a lower learning rate: trainer.optimizer.lr=VALUE"
        raise ValueError(f"{error}; {kept if error.epoch else 'no epoch before it was finished'}; {hint}") from error


def shown(folder: Path) -> Path:
    """A run directory as a person would type it: relative to the current folder where it lies below."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
