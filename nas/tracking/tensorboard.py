"""What a run shows in TensorBoard."""

import threading
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType

from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams as hparams_summaries

from nas.tracking.files import errors_of
from nas.tracking.picture import Size, gif_size, png_size

Setting = bool | int | float | str


class TensorBoard:
    """One run and one event file: scalars, pictures, texts and, at the end, the settings beside the final metrics.

    Use it as a context manager, or call `close`. A resumed run names its `first_epoch`, which may be 0: what the
    interrupted one logged from that epoch on is hidden. Encoded pictures go in as they are:
    `SummaryWriter.add_image` would decode and encode again, and `add_video` does not work with moviepy 2.
    """

    def __init__(self, folder: Path | str, *, first_epoch: int | None = None) -> None:
        if first_epoch is not None:
            _wait_for_a_later_name(Path(folder))
        self.folder = folder
        self._excepthook = threading.excepthook
        threading.excepthook = self._silence_writer
        with errors_of(folder):
            self.writer = SummaryWriter(log_dir=str(folder), purge_step=first_epoch)

    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        """One curve for each name; TensorBoard keeps them as float32."""
        with errors_of(self.folder):
            for name, value in values.items():
                self.writer.add_scalar(name, value, epoch)

    def png(self, tag: str, data: bytes, epoch: int) -> None:
        """A picture; a ValueError for bytes that are no PNG."""
        self._picture(tag, data, png_size(data), epoch)

    def gif(self, tag: str, data: bytes, epoch: int) -> None:
        """An animation, shown among the images; a ValueError for bytes that are no GIF."""
        self._picture(tag, data, gif_size(data), epoch)

    def text(self, tag: str, text: str, epoch: int) -> None:
        """A text, shown as markdown."""
        with errors_of(self.folder):
            self.writer.add_text(tag, text, epoch)

    def hparams(self, settings: Mapping[str, Setting], metrics: Mapping[str, float], epochs: int) -> None:
        """One line of the HPARAMS page; call it once, at the end. The metrics are also the scalars `final/<name>`.

        They stand behind the last of so many `epochs`, so that a run that goes on from there hides them.

        Written into this run's own event file, where `SummaryWriter.add_hparams` would start a second one. Without the
        list of columns, which TensorBoard would take from one run for all: so it looks for them in every run, and has
        a column for every curve too. It shows a bool as 1 or 0.

        Raises:
            ValueError: a setting that is no bool, int, float or str.
        """
        for name, value in settings.items():
            if not isinstance(value, Setting):
                raise ValueError(
                    f"setting {name!r} is {value!r}; TensorBoard takes bool, int, float and str: flatten or drop it"
                )
        # The prefix keeps a final metric off the curve of the same name.
        final = {f"final/{name}": value for name, value in metrics.items()}
        _columns, *of_run = hparams_summaries(dict(settings), final)
        for summary in of_run:
            self._add(summary, epochs)
        self.scalars(final, epochs)

    def flush(self) -> None:
        """Writes what was given so far, which otherwise happens every two minutes.

        Raises:
            OSError: that, or anything before, could not be written.
        """
        with errors_of(self.folder):
            self.writer.flush()

    def close(self) -> None:
        """Flushes and closes the event file; an OSError as of `flush`."""
        try:
            with errors_of(self.folder):
                self.writer.flush()
                self.writer.close()
        finally:
            threading.excepthook = self._excepthook

    def __enter__(self) -> "TensorBoard":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError) if error is not None else nullcontext():  # the first error is the one to tell of
            self.close()

    def _silence_writer(self, raised: threading.ExceptHookArgs) -> None:
        """The thread that writes keeps its error for the next call, and need not print it."""
        if not (issubclass(raised.exc_type, OSError) and type(raised.thread).__module__.startswith("tensorboard.")):
            self._excepthook(raised)

    def _picture(self, tag: str, data: bytes, size: Size, epoch: int) -> None:
        image = Summary.Image(
            width=size.width, height=size.height, colorspace=size.colorspace, encoded_image_string=data
        )
        self._add(Summary(value=[Summary.Value(tag=tag, image=image)]), epoch)

    def _add(self, summary: Summary, epoch: int) -> None:
        assert self.writer.file_writer is not None, "the TensorBoard of this run is closed"
        with errors_of(self.folder):
            self.writer.file_writer.add_summary(summary, epoch)


def _wait_for_a_later_name(folder: Path) -> None:
    """Waits until the second is over in which the last event file was made, if it still is that second.

    TensorBoard reads the files of a folder in the order of their names. These begin with the second; what follows tells
    files of one second apart, but says nothing of their order.
    """
    while any(folder.glob(f"events.out.tfevents.{int(time.time()):010}.*")):
        time.sleep(0.02)
