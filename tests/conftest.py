"""One thread a test process, as xdist runs as many processes as there are cores."""

import gc
import os
import signal

# Before torch is imported, which is not done here: the process that only hands out the tests starts without it.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

# A shell ignores Ctrl-C for what it starts in the background, and so would the commands whose Ctrl-C is tested.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Garbage is no longer looked for in what the imports have left."""
    gc.collect()
    gc.freeze()
