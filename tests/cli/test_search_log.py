"""What a search writes down when its genotype stays the same."""

import io
from pathlib import Path
from typing import Any

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nas.architecture import EpochRecord, Genotype
from nas.cli.search_log import SearchLog
from nas.optimization import SearchProcess
from search_spaces.genotypes import PUBLISHED
from tests.search_spaces.spaces import darts


class Still(SearchProcess):
    """A search without alphas that is always at the same place."""

    position = (0, 0)

    def epochs(self, on_step: Any) -> Any:
        raise NotImplementedError

    def roll_back(self, state: Any) -> None:
        raise NotImplementedError

    def try_step(self, rows: int) -> None:
        raise NotImplementedError

    def load_state_dict(self, state: Any) -> None:
        raise NotImplementedError

    def finished(self) -> tuple[()]:
        return ()

    def compile(self) -> float:
        raise NotImplementedError

    def record_steps(self) -> None:
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        return {}

    def mixture(self) -> None:
        return None


def record(epoch: int, genotype: Genotype) -> EpochRecord:
    return EpochRecord(epoch, 1.0, 0.5, 1.0, 0.5, {}, genotype, seconds=1.0)


def test_a_genotype_is_drawn_once_and_shown_every_epoch(tmp_path: Path) -> None:
    names = ["DARTS_V1", "DARTS_V2", "DARTS_V2", "DARTS_V2", "DARTS_V1"]
    records = [record(epoch, PUBLISHED[name]) for epoch, name in enumerate(names)]
    written = []
    with SearchLog(tmp_path, darts(), lambda genotype: {}) as log:
        for one in records:
            log.epoch(one, Still())
            dot = tmp_path / "genotype.dot"
            written.append((dot.stat().st_mtime_ns, dot.read_text().partition("since epoch ")[2][0]))
            assert Genotype.from_json((tmp_path / "genotype.json").read_text()) == one.genotype
        log.finish(records[-1], {}, {})
    assert [epoch for _, epoch in written] == ["0", "1", "1", "1", "4"]
    assert written[1] == written[2] == written[3]
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 0}).Reload()
    images = events.Images("genotype")
    assert [image.step for image in images] == [0, 1, 2, 3, 4]
    pictures = [image.encoded_image_string for image in images]
    assert pictures[1] == pictures[2] == pictures[3]
    assert len({*pictures}) == 3
    with Image.open(io.BytesIO((tmp_path / "evolution.gif").read_bytes())) as film:
        durations = []
        for frame in range(film.n_frames):
            film.seek(frame)
            durations.append(film.info["duration"])
    assert durations == [500, 1500, 2000]
