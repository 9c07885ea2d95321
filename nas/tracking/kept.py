"""The last two checkpoints of a run."""

import logging
from pathlib import Path
from typing import Any

from nas.tracking.checkpoint import load_checkpoint, save_checkpoint

log = logging.getLogger(__name__)

NEWEST, BEFORE = "checkpoint.pt", "checkpoint.before.pt"


def keep_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Writes the newest checkpoint of a run directory; the one before it stays, as `checkpoint.before.pt`."""
    save_checkpoint(folder / NEWEST, state, former=folder / BEFORE)


def newest_checkpoint(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint of a run directory that can be read, and its state; None where there is none.

    Says in the log why an earlier one is taken.

    Raises:
        ValueError: there are checkpoints, and none can be read.
    """
    error = None
    for path in (folder / NEWEST, folder / BEFORE):
        if not path.exists():
            continue
        try:
            state = load_checkpoint(path)
        except ValueError as damage:
            error = error or damage
            continue
        if error is not None:
            log.warning("the run goes on from the checkpoint before the newest: %s", error)
        return path, state
    if error is not None:
        raise error
    return None
