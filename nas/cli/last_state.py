"""What a person is told when a run breaks off: why, where its last good state is, and how to go on."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.cli.progress import shown
from nas.optimization import NonFiniteLossError
from nas.tracking import newest_checkpoint

REMEDIES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EFBIG: "allow larger files (ulimit -f)",
    errno.EACCES: "make the directory writable",
    errno.EPERM: "make the directory writable",
    errno.EROFS: "make the directory writable",
    errno.ENOENT: "put the directory back where it was",
    errno.ENOTDIR: "put the directory back where it was",
}
"""What helps against the errors of writing that have a usual reason."""


@contextmanager
def last_good_state_named(folder: Path) -> Iterator[None]:
    """Turns a loss that is not finite, and a file of the run in `folder` that cannot be written, into one line.

    Raises:
        ValueError: what happened, where the last good state is, and what is to be done.
    """
    try:
        yield
    except NonFiniteLossError as error:
        raise ValueError(
            f"{error}; {kept_in(folder)}; give a lower trainer.optimizer.lr and another hydra.run.dir, or go on with "
            "other batches by resume=true trainer.on_nan=rollback"
        ) from error
    except OSError as error:
        path = Path(str(error.filename)).absolute()
        if not path.is_relative_to(folder.absolute()):
            raise
        raise ValueError(
            f"{shown(path)} could not be written: {error.strerror}; {kept_in(folder)}; "
            f"{REMEDIES.get(error.errno or 0, 'mend that')}, then go on by resume=true"
        ) from error


def kept_in(folder: Path) -> str:
    """Which state a run can go on from, and where it is."""
    try:
        found = newest_checkpoint(folder)
    except (ValueError, OSError) as damage:
        return f"no state can be read ({damage})"
    if found is None:
        return f"no state is kept in {shown(folder)}"
    place, state = found
    return f"the state after {in_words(*state['position'])} is kept in {shown(place)}"


def in_words(epoch: int, step: int) -> str:
    """What was done before a position, the epoch and the step of it that come next."""
    return f"epoch {epoch}, step {step}" if step else f"epoch {epoch - 1}"
