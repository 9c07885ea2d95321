"""Another process that has a folder to itself."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.tracking import lock

PROGRAM = """
import importlib.util, os, sys, time
from pathlib import Path
spec = importlib.util.spec_from_file_location("lock", sys.argv[1])  # without torch, which takes seconds to import
lock = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lock)
lock.Lock(Path(sys.argv[2])).take()
if "fork" not in sys.argv or os.fork() == 0:
    print(os.getpid(), flush=True)
time.sleep(60)
"""


@contextmanager
def holder(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that holds the lock of a folder, and its number; with the word `fork` that of a child of it."""
    command = [sys.executable, "-c", PROGRAM, str(lock.__file__), str(folder), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()
