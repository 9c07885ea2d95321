"""A data set: what `data=NAME` names."""

from abc import ABC, abstractmethod

from nas.data.samples import Samples
from nas.data.split import Split


class DataSource(ABC):
    """A training set and a test set, each read when it is asked for; a search never asks for the test set.

    `split` divides the training set for a search; `cutout` is the length that retraining passes to `Samples.stream`.
    """

    split: Split
    cutout: int

    @abstractmethod
    def train(self) -> Samples:
        """All images for training.

        Raises:
            ValueError: files that are missing, damaged or of another kind.
        """

    @abstractmethod
    def test(self) -> Samples:
        """The images for the final measurement; errors as in `train`."""
