"""The files of a --config-dir that a command reads, and those that it leaves alone."""

import os
from pathlib import Path

import pytest

from experiments.faults.config_mutations import laughs
from nas.cli.config_files import unreadable_configs
from nas.cli.mistakes import find_mistakes

WORDS = ("--config-dir", "conf", "+space=mine")


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of somebody's configs, below the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "space").mkdir(parents=True)
    (tmp_path / "conf" / "space" / "mine.yaml").write_text("defaults: [pc_darts, {/data: other.yaml}]\n")
    (tmp_path / "conf" / "data").mkdir()
    return tmp_path / "conf"


def test_what_no_word_leads_to_may_be_anything(conf: Path) -> None:
    (conf / "space" / "broken.yaml").write_text(laughs())
    os.mkfifo(conf / "data" / "pipe.yaml")
    (conf / "data" / "other.yaml").write_text("a: 1\n")
    assert unreadable_configs(WORDS) == []
    assert unreadable_configs(("+space=broken",)) == []


@pytest.mark.parametrize("nested", [False, True])
def test_what_a_config_leads_to_is_looked_at(nested: bool, conf: Path) -> None:
    place = conf / "data" / "other.yaml" if nested else conf / "space" / "mine.yaml"
    place.unlink(missing_ok=True)
    os.mkfifo(place)
    line = f"the config {place.relative_to(conf.parent)} cannot be read: '{place.relative_to(conf.parent)}' is a pipe, "
    assert unreadable_configs(WORDS) == [f"{line}not a file; mend it"]
    assert find_mistakes("search", WORDS) == unreadable_configs(WORDS)


def test_every_file_has_its_line(conf: Path) -> None:
    (conf / "space" / "mine.yaml").write_text(laughs())
    (conf / "data" / "mine.yaml").write_bytes(b"\xff")
    first, second = sorted(unreadable_configs(WORDS))
    assert first.startswith("the config conf/data/mine.yaml cannot be read: 'conf/data/mine.yaml' is not text: byte 0")
    assert second.startswith(
        "the config conf/space/mine.yaml cannot be read: written out it has more than 100,000 values"
    )
