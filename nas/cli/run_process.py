"""A run of a sweep as a process: its start and its life."""

import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from multiprocessing import forkserver, get_context, resource_tracker
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess

from hydra import version
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import env_override, run_job, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig

from nas.cli.arguments import register_naming
from nas.cli.processes import end_with_the_parent
from nas.cli.signals import STOPPING, Stopped, StopSignals, unheard
from nas.cli.sweeping import Task, note, run_directory, run_of_sweep, say

SAID = 1
"""The status of a run that has said why it failed."""

LATER = (
    "nas.cli.search_log",
    "nas.cli.drawing",
    "search_spaces.cells",
    "sklearn.datasets",
    "torch._dynamo",  # by the first optimizer
    "pygraphviz",
)
"""What runs import when they come to need it."""


@dataclass(frozen=True)
class Order:
    """All that a process needs to know of its run."""

    task: Task
    hydra: GlobalHydra
    context: HydraContext
    config: DictConfig
    environment: Mapping[str, str]
    stop_signals: tuple[str, ...]


def started(order: Order) -> BaseProcess:
    """A new process that does what is ordered.

    It ends with the process that started it. Its status is 0, SAID, or 128 and the number of a signal that stopped it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    resource_tracker.ensure_running()  # it would end what `unheard` begins
    with unheard(getattr(signal, name) for name in STOPPING):
        process = _context().Process(target=_life, args=(order,))
        process.start()
    return process


def _context() -> ForkServerContext | SpawnContext:
    """Forks of a server that has imported what this process has; new ones where forks are not safe.

    The server starts no thread that a fork would miss, and no signal ends it before the processes that it forked.
    """
    if sys.platform != "linux":
        return get_context("spawn")
    context = get_context("forkserver")
    ours = [name for name in sys.modules if name.startswith(("nas.", "search_spaces."))]
    context.set_forkserver_preload([*ours, *LATER])
    with env_override({"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}):
        forkserver.ensure_running()
    return context


def _life(order: Order) -> None:
    os.environ.clear()
    os.environ.update(order.environment)
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    version.setbase("1.3")
    GlobalHydra.set_instance(order.hydra)
    setup_globals()
    register_naming()
    with StopSignals(order.stop_signals, alone=False) as early:  # what comes after the run's end changes nothing
        waiting = {signal.SIGINT, *early.numbers}
        signal.pthread_sigmask(signal.SIG_SETMASK, waiting)  # until the run hears them itself
        if early.heard:
            sys.exit(128 + early.heard)
        sys.exit(_run(order))


def _run(order: Order) -> int:
    try:
        done = run_job(
            task_function=partial(run_of_sweep, order.task),
            config=order.config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
            hydra_context=order.context,
        )
    except Stopped as stop:
        print(stop, file=sys.stderr)
        return stop.status
    except Exception as error:  # of Hydra, such as a directory that cannot be made
        note(run_directory(order.config), say(error))
        return SAID
    return 0 if done.return_value else SAID
