"""A step recorded once as a CUDA graph and replayed: hundreds of kernels launched at once."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from nas.optimization.compilation import first_line

Results = tuple[Tensor, ...]
Step = Callable[..., Results]

REAL_STEPS = 3
"""Steps before the recording: they make what is made once, such as momentum buffers and the work space of libraries."""


class Graphs(Protocol):
    """How a device records work."""

    def aside(self, work: Callable[[], Results]) -> Results:
        """Runs work as it is, where it will be recorded."""

    def record(self, work: Callable[[], Results]) -> Callable[[], Results]:
        """Records work without running it; each call of what comes back runs it once, on the tensors it has seen."""


class CudaGraphs:
    """CUDA graphs of one device, which take turns in one pool of memory.

    They may share it because nothing in it outlives a step: a step computes all its gradients anew, and its results
    are copied out of the pool.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()

    def aside(self, work: Callable[[], Results]) -> Results:
        here = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(here)
        with torch.cuda.stream(self.stream):
            results = work()
        here.wait_stream(self.stream)
        return results

    def record(self, work: Callable[[], Results]) -> Callable[[], Results]:
        graph = torch.cuda.CUDAGraph()
        # the outer block brings the stream back where the recording fails; other threads may go on
        with (
            torch.cuda.stream(self.stream),
            torch.cuda.graph(graph, self.pool, self.stream, capture_error_mode="thread_local"),
        ):
            results = work()

        def replay() -> Results:
            graph.replay()
            return tuple(result.clone() for result in results)

        return replay


class RecordedStep:
    """A step that runs as it is REAL_STEPS times, is recorded at the next call and replayed from then on.

    Every call is one step, also the one that records. A step is a function of tensors that returns tensors and reads
    all else where it lay when it was recorded: what a Python number says is fixed, what a tensor holds is not.
    Arguments are copied into tensors of its own; others than the first ones' shapes run as they are. So does everything
    after a failure to record, which `on_failure` is told of.
    """

    def __init__(self, step: Step, graphs: Graphs, on_failure: Callable[[Exception], None]) -> None:
        self.step = step
        self.graphs = graphs
        self.on_failure = on_failure
        self.given_up = False
        self._runs = 0
        self._inputs: Results = ()
        self._replay: Callable[[], Results] | None = None

    def __call__(self, *arguments: Tensor) -> Results:
        if self._runs < REAL_STEPS and not self.given_up:
            self._runs += 1
            return self.graphs.aside(lambda: self.step(*arguments))
        if self._replay is None and not self.given_up:
            self._record(arguments)
        if self._replay is None or not self._fit(arguments):
            return self.step(*arguments)
        for kept, argument in zip(self._inputs, arguments, strict=True):
            kept.copy_(argument, non_blocking=True)
        return self._replay()

    def forget(self) -> None:
        """The next call records again: something has changed that is no tensor."""
        self._replay = None

    def _record(self, arguments: Results) -> None:
        inputs = self._inputs = tuple(torch.empty_like(argument) for argument in arguments)
        try:
            self._replay = self.graphs.record(lambda: self.step(*inputs))
        except Exception as error:
            self.given_up = True
            self.on_failure(error)

    def _fit(self, arguments: Results) -> bool:
        kinds = [[(tensor.shape, tensor.dtype) for tensor in tensors] for tensors in (arguments, self._inputs)]
        return kinds[0] == kinds[1]


def cause(error: BaseException) -> str:
    """The first line of the error that others followed: ending a failed recording fails too."""
    while error.__context__ is not None:
        error = error.__context__
    return first_line(error)
