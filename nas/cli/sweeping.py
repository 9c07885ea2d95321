"""The runs of a sweep: what happens to one of them does not stop the others, and a signal stops all in good order."""

import functools
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import active_children, get_all_start_methods, get_start_method
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from nas.cli.mistakes import in_one_line
from nas.cli.signals import STOPPING, Stopped, StopSignals, tell
from nas.tracking import write_atomically
from nas.tracking.runs import FAILED


def run_of_sweep(task: Callable[[DictConfig], None], config: DictConfig, *, tracebacks: bool) -> None:
    """One run of a sweep: why it failed goes to standard error, with a traceback where no line of words is known.

    It is left in the run's directory as well, for the table of the sweep, until the run begins again.

    In one of joblib's processes a signal ends this run in good order, and none follows it there.

    Raises:
        Stopped: by a signal, in the process of the sweep itself.
    """
    folder, signals = Path(HydraConfig.get().runtime.output_dir), None
    if is_worker():
        signals = _of_worker(*stop_signals(config))
        if signals.heard:
            return
    try:
        (folder / FAILED).unlink(missing_ok=True)
        task(config)
    except Stopped as stop:
        stopped = Stopped(stop.number, f"in run {folder.name}, {stop.where}")
        if signals is None:
            raise stopped from None
        signals.heard = stop.number
        print(stopped, file=sys.stderr)
    except Exception as error:
        lines = in_one_line(error)
        if tracebacks or not lines:
            traceback.print_exception(error)
        lines = lines or [f"an error of the program: {' '.join(traceback.format_exception_only(error)[-1].split())}"]
        print(*(f"error: {line}" for line in lines), sep="\n", file=sys.stderr)
        with suppress(OSError):  # a full disk may be why it failed
            write_atomically(folder / FAILED, "; ".join(lines))


def signals_of_sweep(config: DictConfig) -> StopSignals:
    """What the process of a sweep hears between its runs, or while joblib's processes run them, which are then told."""
    shared = "joblib" in config.hydra.launcher["_target_"]
    then = (lambda number: tell(active_children(), number)) if shared else None
    return StopSignals(stop_signals(config), where="before the next step", then=then)


def is_worker() -> bool:
    """Whether this process is one of joblib's."""
    return get_start_method(allow_none=True) not in (None, *get_all_start_methods())


def stop_signals(config: DictConfig) -> list[str]:
    """The signals of a config that may be wrong, or have none; wrong ones are for the runs to complain of."""
    names = OmegaConf.select(config, "trainer.stop_signals", default=())
    return [name for name in names if name in STOPPING]


@functools.cache
def _of_worker(*names: str) -> StopSignals:
    """What one of joblib's processes hears from its first run on; it ends with the process of the sweep."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    return StopSignals(names, alone=False).__enter__()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
