"""Images in files, decoded when they are needed by processes that live as long as their stream."""

from collections.abc import Iterator
from signal import SIG_IGN, Signals, signal
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from nas.data import augmentation
from nas.data.decoding import PlainImages, RandomImages, Views, Visit
from nas.data.samples import Samples, check_cutout, check_labels
from nas.data.statistics import Statistics
from nas.data.stream import Batch, Shuffle, Stream, check_batch_size
from nas.parallel import ALONE, Ranks


class FileSamples(Samples):
    """Images in the files `paths` and their labels (N,) int64.

    Raises:
        ValueError: no images, or a label that is no class.
    """

    def __init__(
        self, paths: list[str], labels: Tensor, *, num_classes: int, statistics: Statistics, views: Views, workers: int
    ) -> None:
        check_labels(labels, num_classes)
        self.paths = paths
        self.labels = labels
        self.num_classes = num_classes
        self.shape = (3, views.size, views.size)
        self.statistics = statistics
        self.views = views
        self.workers = workers

    def subset(self, indices: Tensor) -> "FileSamples":
        return FileSamples(
            [self.paths[index] for index in indices.tolist()],
            self.labels[indices],
            num_classes=self.num_classes,
            statistics=self.statistics,
            views=self.views,
            workers=self.workers,
        )

    def stream(
        self, *, batch_size: int, seed: int, device: torch.device, cutout: int = 0, ranks: Ranks = ALONE
    ) -> "FileStream":
        check_cutout(cutout, self.shape)
        shuffle = Shuffle(len(self), batch_size=batch_size, seed=seed, ranks=ranks)
        return FileStream(self, shuffle, device=device, cutout=cutout)

    def batches(self, *, batch_size: int, device: torch.device, ranks: Ranks = ALONE) -> Iterator[Batch]:
        check_batch_size(batch_size)
        batches = torch.arange(len(self)).split(batch_size)
        loader = DataLoader(
            PlainImages(self.paths, self.labels, self.views),
            batch_sampler=[batches[turn].tolist() for turn in ranks.turns(len(batches))],
            num_workers=self.workers,
            worker_init_fn=hear_no_signal,
            generator=torch.Generator(),
            pin_memory=device.type == "cuda",
        )
        mean, std = self.statistics.on(device)
        return ((augmentation.normalise(images.to(device), mean, std), labels.to(device)) for images, labels in loader)


class FileStream(Stream):
    """Batches that worker processes decode ahead, across the ends of epochs; normalise and cutout run on the device."""

    def __init__(self, samples: FileSamples, shuffle: Shuffle, *, device: torch.device, cutout: int) -> None:
        self.samples = samples
        self.shuffle = shuffle
        self.device = device
        self.cutout = cutout
        self.batches_per_epoch = shuffle.batches_per_epoch
        self.epoch = 0
        self.batch = 0
        self._mean, self._std = samples.statistics.on(device)
        self._generator = torch.Generator(device)
        self._decoded: Iterator[Any] | None = None

    def __next__(self) -> Batch:
        if self._decoded is None:
            self._decoded = self._decoding()
        images, labels = (tensor.to(self.device, non_blocking=True) for tensor in next(self._decoded))
        draws = self.shuffle.draws(self.epoch, self.batch, self._generator)
        images = augmentation.normalise(images, self._mean, self._std)
        images = augmentation.cutout(images, self.cutout, draws)
        self.batch += 1
        if self.batch == self.batches_per_epoch:
            self.epoch, self.batch = self.epoch + 1, 0
        return images, labels

    def seek(self, epoch: int, batch: int) -> None:
        self._check_position(epoch, batch)
        self.epoch, self.batch, self._decoded = epoch, batch, None

    def _decoding(self) -> Iterator[Any]:
        """Workers that decode from the present position on."""
        samples = self.samples
        loader = DataLoader(
            RandomImages(samples.paths, samples.labels, samples.views, self.shuffle.seed),
            batch_sampler=Walk(self.shuffle, self.epoch, self.batch),
            num_workers=samples.workers,
            worker_init_fn=hear_no_signal,
            generator=torch.Generator(),  # its own: otherwise it draws from the global one
            pin_memory=self.device.type == "cuda",
        )
        return iter(loader)


class Walk(Sampler[list[Visit]]):
    """The endless sequence of batches of visits that a shuffle prescribes, from a position on."""

    def __init__(self, shuffle: Shuffle, epoch: int, batch: int) -> None:
        self.shuffle = shuffle
        self.epoch = epoch
        self.batch = batch

    def __iter__(self) -> Iterator[list[Visit]]:
        epoch, batch = self.epoch, self.batch
        while True:
            for indices in self.shuffle.order(epoch)[batch:].tolist():
                yield [(epoch, index) for index in indices]
            epoch, batch = epoch + 1, 0


def hear_no_signal(worker: int) -> None:
    """Makes a worker ignore what a terminal or a scheduler tells the whole group: the one that it works for ends it."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGALRM", "SIGTSTP"):
        signal(Signals[name], SIG_IGN)
