"""What every file format of an exported network does."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.export import ExportedProgram


@dataclass(frozen=True)
class Rounding:
    """One rounding of a file: the whole numbers that came out, and what went in, maybe clamped; None if not told."""

    codes: Tensor
    inputs: Tensor | None


@dataclass(frozen=True)
class Run:
    """What a file computes of a batch: logits (N, num_classes), and each rounding on the way to them."""

    logits: Tensor
    roundings: Sequence[Rounding]


class FileFormat(ABC):
    """Turns a traced network into the bytes of a file, and those bytes into something that computes logits.

    A file knows what it holds: `metadata` is a mapping of names to texts.
    """

    ending: str

    @abstractmethod
    def write(self, program: ExportedProgram, metadata: Mapping[str, str]) -> bytes:
        """The file of a network that `traced` gave; a ValueError for one that the format cannot hold."""

    @abstractmethod
    def load(self, data: bytes, *, inputs: bool = False) -> Callable[[Tensor], Run]:
        """Runs on images (N, C, H, W), computed from the bytes of a file alone.

        With `inputs` they tell what is rounded too, which may keep a runtime from joining operations.
        """

    @abstractmethod
    def metadata(self, data: bytes) -> Mapping[str, str]:
        """What a file says of itself; empty for one of another format. Runs nothing of the file."""
