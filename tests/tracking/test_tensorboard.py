import io
from pathlib import Path

import pytest
from PIL import Image
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.summary.writer import event_file_writer

from nas.tracking import TensorBoard
from nas.tracking.picture import Size, gif_size, png_size


def picture(mode: str, size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, format="PNG")
    return buffer.getvalue()


def animation(size: tuple[int, int]) -> bytes:
    frames = [Image.new("RGB", size, (80 * k, 0, 0)) for k in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, format="GIF", save_all=True, append_images=frames[1:], duration=100)
    return buffer.getvalue()


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0, "tensors": 0}).Reload()


def test_everything_comes_back_from_one_event_file(tmp_path):
    png, gif = picture("RGBA", (37, 21)), animation((19, 11))
    with TensorBoard(tmp_path) as board:
        for epoch in range(3):
            board.scalars({"valid/accuracy": 0.25 * epoch, "alpha_entropy/normal": 1.5 - epoch}, epoch)
            board.png("genotype", png, epoch)
        board.gif("alphas", gif, 2)
        board.text("notes", "**bold** | µ", 1)
        board.hparams({"lr": 0.5, "epochs": 3, "space": "darts", "amp": True}, {"valid/accuracy": 0.75}, 3)
    assert len(list(tmp_path.rglob("*"))) == 1

    log = events(tmp_path)
    assert log.Tags()["scalars"] == ["valid/accuracy", "alpha_entropy/normal", "final/valid/accuracy"]
    assert [(e.step, e.value) for e in log.Scalars("valid/accuracy")] == [(0, 0.0), (1, 0.25), (2, 0.5)]
    assert [(e.step, e.value) for e in log.Scalars("alpha_entropy/normal")] == [(0, 1.5), (1, 0.5), (2, -0.5)]
    assert [(e.step, e.value) for e in log.Scalars("final/valid/accuracy")] == [(3, 0.75)]
    images = log.Images("genotype")
    assert [(e.step, e.width, e.height, e.encoded_image_string) for e in images] == [(k, 37, 21, png) for k in range(3)]
    (clip,) = log.Images("alphas")
    assert (clip.step, clip.width, clip.height, clip.encoded_image_string) == (2, 19, 11, gif)
    (note,) = log.Tensors("notes/text_summary")
    assert (note.step, note.tensor_proto.string_val[0].decode()) == (1, "**bold** | µ")


def test_hparams_and_their_metrics_come_back(tmp_path):
    with TensorBoard(tmp_path) as board:
        board.hparams({"lr": 0.5, "epochs": 3, "space": "darts", "amp": True}, {"test_accuracy": 0.75}, 3)
    content = events(tmp_path).summary_metadata
    start = metadata.parse_session_start_info_plugin_data(
        content[metadata.SESSION_START_INFO_TAG].plugin_data.content
    ).hparams
    assert {name: value.number_value for name, value in start.items() if name != "space"} == {
        "lr": 0.5,
        "epochs": 3.0,
        "amp": 1.0,
    }
    assert start["space"].string_value == "darts"


def test_the_page_of_several_runs_has_the_columns_of_all(tmp_path):
    """As TensorBoard's own server finds them: a sweep may leave a setting or a metric out of some runs."""
    settings = ({"lr": 0.5, "space": "darts"}, {"lr": 0.25, "budget.bops": "0.5x"})
    metrics = ({"valid_accuracy": 0.75}, {"valid_accuracy": 0.5, "bops": 3.0})
    for number, (given, found) in enumerate(zip(settings, metrics, strict=True)):
        with TensorBoard(tmp_path / str(number)) as board:
            board.hparams(given, found, 1)
    runs = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
    context = Context(TBContext(data_provider=MultiplexerDataProvider(runs, str(tmp_path))))
    request = RequestContext()
    contents = context.hparams_metadata(request, "")
    found = context.hparams_from_data_provider(request, "", limit=0)
    experiment = context.experiment_from_metadata(request, "", True, contents, found)
    assert sorted(info.name for info in experiment.hparam_infos) == ["budget.bops", "lr", "space"]
    assert sorted(info.name.tag for info in experiment.metric_infos) == ["final/bops", "final/valid_accuracy"]


@pytest.mark.parametrize("value", [None, [1, 2], {"a": 1}])
def test_a_setting_that_is_no_plain_value_is_named(tmp_path, value):
    with TensorBoard(tmp_path) as board, pytest.raises(ValueError, match="setting 'widths' is"):
        board.hparams({"lr": 0.1, "widths": value}, {}, 1)


def test_a_resumed_run_hides_what_the_interrupted_one_logged_later(tmp_path, monkeypatch):
    """Also if it begins in the same second: then a 10th file would be read before the 9th."""
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(9))
    with TensorBoard(tmp_path) as board:
        for epoch in range(4):
            board.scalars({"loss": epoch}, epoch)
        board.hparams({"lr": 0.5}, {"loss": 3.0}, 4)
    with TensorBoard(tmp_path, first_epoch=2) as board:
        for epoch in range(2, 5):
            board.scalars({"loss": 10 * epoch}, epoch)
        board.hparams({"lr": 0.5}, {"loss": 40.0}, 5)
    assert [(e.step, e.value) for e in events(tmp_path).Scalars("final/loss")] == [(5, 40.0)]
    steps = [(e.step, e.value) for e in events(tmp_path).Scalars("loss")]
    assert steps == [(0, 0.0), (1, 1.0), (2, 20.0), (3, 30.0), (4, 40.0)]


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 2), ("RGB", 3), ("P", 3), ("RGBA", 4)])
def test_the_header_of_a_png_says_its_size(mode, channels):
    assert png_size(picture(mode, (300, 7))) == Size(300, 7, channels)


def test_the_header_of_a_gif_says_its_size():
    assert gif_size(animation((300, 7))) == Size(300, 7, 3)


def test_other_bytes_are_refused(tmp_path):
    with TensorBoard(tmp_path) as board:
        with pytest.raises(ValueError, match="these 12 bytes are no PNG: they start with b'GIF89a"):
            board.png("a", b"GIF89a" + bytes(6), 0)
        with pytest.raises(ValueError, match="these 0 bytes are no GIF"):
            board.gif("a", b"", 0)


def test_it_is_closed_when_the_block_fails(tmp_path):
    with pytest.raises(RuntimeError, match="diverged"), TensorBoard(tmp_path) as board:  # noqa: PT012
        board.scalars({"loss": 1.0}, 0)
        raise RuntimeError("diverged")
    assert events(tmp_path).Scalars("loss")[0].value == 1.0
