"""What every file format of an exported network does."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from torch import Tensor
from torch.export import ExportedProgram


class FileFormat(ABC):
    """Turns a traced network into the bytes of a file, and those bytes into something that computes logits.

    A file knows what it holds: `metadata` is a mapping of names to texts.
    """

    ending: str

    @abstractmethod
    def write(self, program: ExportedProgram, metadata: Mapping[str, str]) -> bytes:
        """The file of a network that `traced` gave; a ValueError for one that the format cannot hold."""

    @abstractmethod
    def load(self, data: bytes) -> Callable[[Tensor], Tensor]:
        """Logits (N, num_classes) of images (N, C, H, W), computed from the bytes of a file alone."""

    @abstractmethod
    def metadata(self, data: bytes) -> Mapping[str, str]:
        """What a file says of itself; empty for one of another format. Runs nothing of the file."""
