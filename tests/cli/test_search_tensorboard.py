"""What a search shows in TensorBoard."""

import io
import math
from pathlib import Path

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from tests.cli.commands import read_epochs, read_json
from tests.cli.derivation import softmax

FREE = ("max_pool_3x3", "avg_pool_3x3", "skip_connect")


@pytest.fixture(scope="module")
def events(run: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(run), size_guidance={"images": 0, "scalars": 0})
    accumulator.Reload()
    return accumulator


def curve(events: EventAccumulator, tag: str) -> list[float]:
    """The values of a curve, one an epoch."""
    points = events.Scalars(tag)
    assert [point.step for point in points] == [0, 1]
    return [point.value for point in points]


@pytest.mark.parametrize("part", ["train", "valid"])
@pytest.mark.parametrize("metric", ["loss", "accuracy"])
def test_curves_are_those_of_the_record(run: Path, events: EventAccumulator, part: str, metric: str) -> None:
    expected = [epoch[f"{part}_{metric}"] for epoch in read_epochs(run)]
    assert curve(events, f"{metric}/{part}") == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", ["normal", "reduce"])
def test_the_entropy_is_the_mean_over_edges(run: Path, events: EventAccumulator, kind: str) -> None:
    expected = []
    for epoch in read_epochs(run):
        rows = [softmax(a) for name, a in epoch["alphas"].items() if name.startswith(kind) and name.endswith("/op")]
        expected.append(sum(-sum(p * math.log(p) for p in row) for row in rows) / len(rows))
    assert curve(events, f"alpha_entropy/{kind}/op") == pytest.approx(expected, rel=1e-5)
    assert 2.0 < expected[0] <= math.log(8) + 1e-9


def test_input_weights_have_an_entropy_of_their_own(run: Path, events: EventAccumulator) -> None:
    for name in [name for name in read_epochs(run)[0]["alphas"] if name.endswith("/input")]:
        expected = []
        for epoch in read_epochs(run):
            expected.append(-sum(p * math.log(p) for p in softmax(epoch["alphas"][name])))
        assert curve(events, f"alpha_entropy/{name}") == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["normal", "reduce"])
def test_parameter_free_operators_are_counted(run: Path, events: EventAccumulator, kind: str) -> None:
    expected = []
    for epoch in read_epochs(run):
        nodes = [epoch["genotype"]["decisions"][f"{kind}/{node}"] for node in range(2, 6)]
        expected.append(sum(operator in FREE for genes in nodes for operator, _ in genes))
    assert curve(events, f"parameter_free_operators/{kind}") == expected


@pytest.mark.parametrize("tag", ["genotype", "alphas/normal/op", "alphas/reduce/op"])
def test_every_epoch_has_its_pictures(events: EventAccumulator, tag: str) -> None:
    images = events.Images(tag)
    assert [image.step for image in images] == [0, 1]
    for image in images:
        with Image.open(io.BytesIO(image.encoded_image_string)) as picture:
            picture.load()
            assert picture.format == "PNG"
            assert picture.size == (image.width, image.height)
    assert images[0].encoded_image_string != images[1].encoded_image_string


def test_the_last_genotype_is_the_picture_on_disk(run: Path, events: EventAccumulator) -> None:
    assert events.Images("genotype")[-1].encoded_image_string == (run / "genotype.png").read_bytes()


def test_the_evolution_is_an_animation(run: Path, events: EventAccumulator) -> None:
    (film,) = events.Images("evolution")
    assert film.encoded_image_string == (run / "evolution.gif").read_bytes()


def test_the_settings_stand_beside_the_final_metrics(run: Path, events: EventAccumulator) -> None:
    summary = read_json(run / "summary.json")
    for metric in ("train_loss", "valid_accuracy"):
        (point,) = events.Scalars(f"final/{metric}")
        assert point.value == pytest.approx(summary[metric], rel=1e-6)
    contents = events.PluginTagToContent("hparams")
    settings = HParamsPluginData.FromString(contents["_hparams_/session_start_info"]).session_start_info.hparams
    assert settings["network.channels"].number_value == 8
    assert settings["trainer.epochs"].number_value == 2
    assert settings["seed"].number_value == 0
    assert settings["space"].string_value == summary["space"]
    assert settings["method"].string_value == "first_order"
    assert settings["data"].string_value == "digits"
    assert "_hparams_/experiment" not in contents  # it would hide the columns of other runs
