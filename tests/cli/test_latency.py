"""A budget of latency from the command line: what is measured, kept and refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.architecture import Genotype
from nas.costs import Conditions, LatencyTable, LayerShape
from nas.space import Skeleton
from search_spaces.networks import NetworkSpace
from tests.cli.commands import Outcome, call, read_epochs, read_json

SPACE = ("+space=channel_width", "space.backbone_arguments={depth:8,channels:4}", "space.widths=[0.5,1.0]")
SMOKE = ("debug=smoke", "trainer.max_steps=1", "trainer.arch_warmup=0", "hydra.run.dir=run")
SKELETON = Skeleton(in_channels=1, image_size=(8, 8))
TABLE = Path("runs") / "latency.json"
THERE = Conditions("Some GPU", "2.6.0", 1, 16)


def sized(widths: tuple[float, ...] = (0.5, 1.0)) -> NetworkSpace:
    """The space of the commands here."""
    arguments = {"depth": 8, "channels": 4}
    return NetworkSpace(name="channel_width", backbone="resnet20", backbone_arguments=arguments, widths=widths)


def made_up(shape: LayerShape) -> float:
    """Seconds that grow with the channels of a layer."""
    return 1e-6 * (3 * shape.in_channels + shape.out_channels)


class Clock:
    """Stands for the timer; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, int]] = []

    def __call__(self, shape: LayerShape, device: torch.device, batch_size: int) -> float:
        self.asked.append((shape.key, device.type, batch_size))
        return made_up(shape)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("nas.cli.latencies.timed", clock)
    return clock


def search(cwd: Path, *words: str) -> Outcome:
    given = {word.split("=")[0] for word in words}
    smoke = (word for word in SMOKE if word.split("=")[0] not in given)
    return call("search", *(word for word in SPACE if word.split("=")[0] not in given), *smoke, *words, cwd=cwd)


def layers(space: NetworkSpace) -> dict[str, float]:
    """What its cost model asks of a table."""
    asked: dict[str, float] = {}

    def note(shape: LayerShape) -> float:
        return asked.setdefault(shape.key, made_up(shape))

    space.cost("latency", SKELETON, note)
    return asked


def table_of(conditions: Conditions, space: NetworkSpace) -> str:
    return LatencyTable(conditions, layers(space)).to_json()


def seconds_of(genotype: dict[str, Any]) -> float:
    """Added up over the layers of the derived network, each of which is called once."""
    network, seconds = sized().network(Genotype.from_dict(genotype), SKELETON), list[float]()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            read, written = module.weight.shape[1], module.weight.shape[0]
            seconds.append(made_up(LayerShape(read, written)))
    return sum(seconds)


def test_a_search_measures_what_its_table_lacks_and_keeps_within_the_seconds(tmp_path: Path, clock: Clock) -> None:
    outcome = search(tmp_path, "budget.latency=0.7x", "budget.hard=true", "budget.latency_batch=3")
    assert outcome.status == 0, outcome.err
    wanted = layers(sized())
    here = Conditions("", torch.__version__, 1, 3)
    table = LatencyTable.from_json((tmp_path / TABLE).read_text())
    assert table.seconds == wanted
    assert table.conditions == Conditions(table.conditions.device, *list(vars(here).values())[1:])
    assert sorted(clock.asked) == sorted((key, "cpu", 3) for key in wanted)
    first, *_ = outcome.out.splitlines()
    assert first == f"measured {len(wanted)} layers in 0 s on {table.conditions.device}, kept in {TABLE}"

    limit = 0.7 * sized().cost("latency", SKELETON, made_up).largest()[0]
    epochs = read_epochs(tmp_path / "run")
    for epoch in epochs:
        assert epoch["budget"]["latency"] == pytest.approx(seconds_of(epoch["genotype"]), rel=1e-9)
        assert epoch["budget"]["latency"] <= limit < epoch["budget"]["expected_latency"]
    spent = epochs[-1]["budget"]["latency"]
    assert f"it costs {spent:.6g} seconds of at most {limit:.6g} seconds\n" in outcome.out
    summary = read_json(tmp_path / "run" / "summary.json")
    assert {name: summary[name] for name in epochs[-1]["budget"]} == epochs[-1]["budget"]

    clock.asked.clear()
    again = search(tmp_path, "budget.latency=0.7x", "budget.latency_batch=3", "hydra.run.dir=again")
    assert again.status == 0, again.err
    assert clock.asked == []
    assert "measured" not in again.out


@pytest.mark.slow
def test_only_what_is_missing_is_measured_and_nothing_is_lost(tmp_path: Path, clock: Clock) -> None:
    search(tmp_path, "budget.latency=1e-9")  # refused, but measured first
    before = json.loads((tmp_path / TABLE).read_text())["seconds"]
    clock.asked.clear()
    search(tmp_path, "budget.latency=1e-9", "space.widths=[0.25,0.5,1.0]")
    further = layers(sized((0.25, 0.5, 1.0))).keys() - before.keys()
    assert further
    assert sorted(key for key, _, _ in clock.asked) == sorted(further)
    assert json.loads((tmp_path / TABLE).read_text())["seconds"].keys() == further | before.keys()


@pytest.mark.slow
def test_a_table_of_another_device_is_taken_only_if_it_is_asked_for(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "gpu.json").write_text(table_of(THERE, sized()))
    words = ("budget.latency=0.7x", "budget.latency_table=gpu.json", "trainer.epochs=1")
    line = search(tmp_path, *words).error
    assert line.startswith("budget.latency_table=gpu.json: it is of 'Some GPU' (torch 2.6.0, 1 thread, batches of 16)")
    assert "batches of 1): name another file" in line
    assert "budget.latency_anywhere=true" in line
    outcome = search(tmp_path, *words, "budget.latency_anywhere=true")
    assert outcome.status == 0, outcome.err
    lacking = search(
        tmp_path, *words, "budget.latency_anywhere=true", "space.widths=[0.25,1.0]", "hydra.run.dir=lacking"
    )
    assert lacking.error.startswith("budget.latency_table=gpu.json: the latency table of 'Some GPU'")
    assert "lacks 'conv 1x8x8 -> 1, kernel 3x3" in lacking.error
    assert clock.asked == []
    assert (tmp_path / "gpu.json").read_text() == table_of(THERE, sized())


def damaged(folder: Path) -> dict[str, str]:
    (folder / "cut.json").write_text(table_of(THERE, sized())[:-20])
    (folder / "bytes.json").write_bytes(b"\xff\xfe\x00")
    return {
        "budget.latency_table=cut.json": "budget.latency_table=cut.json: this is not a latency table: it is not JSON",
        "budget.latency_table=bytes.json": "budget.latency_table=bytes.json: 'bytes.json' is not text",
        "budget.latency_table=.": "budget.latency_table=.: ",
        "budget.latency_batch=0": "budget.latency_batch is 0",
        "budget.latency_anywhere=perhaps": "budget.latency_anywhere is 'perhaps'",
        "budget.latency_anywhere=true": f"budget.latency_table={TABLE}: there is no such file, so budget.latency_any",
    }


def test_what_cannot_be_taken_is_one_line(tmp_path: Path, clock: Clock) -> None:
    for word, start in damaged(tmp_path).items():
        line = search(tmp_path, "budget.latency=0.7x", word).error
        assert line.startswith(start), line
    assert clock.asked == []


@pytest.mark.slow
def test_a_limit_of_seconds_that_is_told_is_one_that_can_be_met(tmp_path: Path, clock: Clock) -> None:
    line = search(tmp_path, "budget.latency=1e-9").error
    least = line.removesuffix(" seconds; give at least that").rpartition(" ")[2]
    assert line.startswith("the budget of 1e-09 seconds cannot be met")
    assert search(tmp_path, f"budget.latency={least}", "trainer.epochs=1").status == 0


def test_a_space_that_knows_no_latency_measures_nothing(tmp_path: Path, clock: Clock) -> None:
    words = ("space=darts", "debug=smoke", "budget.latency=0.5x")
    assert "space 'darts' knows no latency for a budget" in call("search", *words, cwd=tmp_path).error
    assert clock.asked == []
    assert not (tmp_path / TABLE).exists()
