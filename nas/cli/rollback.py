"""Runs that go back to their last checkpoint when a loss is not finite."""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from nas.cli.last_state import in_words, kept_in
from nas.cli.progress import shown
from nas.cli.resuming import Keeper
from nas.optimization import NonFiniteLossError

log = logging.getLogger(__name__)

MOST = 3
"""Rollbacks without a finished epoch in between."""

Record = TypeVar("Record", covariant=True)


class Process(Protocol[Record]):
    """A search or a training under way."""

    def epochs(self, on_step: Callable[[], None]) -> Iterator[Record]:
        """A record for each epoch to come."""

    def roll_back(self, state: Mapping[str, Any]) -> None:
        """Takes up a state of its own with the batches that come next now."""


def epochs_of(process: Process[Record], keeper: Keeper, on_step: Callable[[], None], on_nan: str) -> Iterator[Record]:
    """The epochs of a process; with on_nan=rollback again from its last checkpoint wherever a loss is not finite.

    Raises:
        NonFiniteLossError: a loss that is not finite, without rollback.
        ValueError: the same with rollback, where nothing is kept, or after MOST rollbacks in one epoch.
    """
    while True:
        try:
            for record in process.epochs(on_step):
                keeper.rollbacks = 0
                yield record
            return
        except NonFiniteLossError as error:
            if on_nan != "rollback":
                raise
            process.roll_back(_last_state(keeper, error))
            keeper.rollbacks += 1


def _last_state(keeper: Keeper, error: NonFiniteLossError) -> Mapping[str, Any]:
    if keeper.rollbacks >= MOST:
        raise ValueError(
            f"{error}, after {MOST} rollbacks without a finished epoch; {kept_in(keeper.folder)}; "
            "give a lower trainer.optimizer.lr and another hydra.run.dir"
        ) from error
    state = keeper.last_state()
    if state is None:
        raise ValueError(
            f"{error}; trainer.on_nan=rollback has no state to go back to, because none is kept in "
            f"{shown(keeper.folder)}; give a lower trainer.optimizer.lr, or keep states within an epoch by "
            "trainer.checkpoint_steps=N"
        ) from error
    if keeper.ranks.rank == 0:
        log.warning(
            "%s: back to the state after %s, and on with other batches (rollback %d of %d)",
            error,
            in_words(*state["position"]),
            keeper.rollbacks + 1,
            MOST,
        )
    return state
