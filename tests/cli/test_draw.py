"""Drawing: where the pictures go, and that nothing else is left."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from tests.cli.commands import Outcome, call, succeed

ENDINGS = ("dot", "png", "svg")


def drawn(stem: Path) -> str:
    """The text of the SVG, after a check that the three files are whole."""
    with Image.open(f"{stem}.png") as picture:
        picture.load()
        assert picture.width > 300
    text = Path(f"{stem}.svg").read_text()
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert Path(f"{stem}.dot").read_text().lstrip().startswith(("digraph", "strict digraph", "//"))
    return text


def test_a_published_genotype_is_drawn_here(tmp_path: Path) -> None:
    outcome = succeed("draw", "genotype=DARTS_V2", cwd=tmp_path)
    assert "max_pool_3x3" in drawn(tmp_path / "DARTS_V2")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"DARTS_V2.{ending}" for ending in ENDINGS]
    assert all(f"DARTS_V2.{ending}" in outcome.out for ending in ENDINGS)


def test_a_run_is_drawn_beside_its_genotype(pc_darts_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "genotype.json").write_bytes((pc_darts_run / "genotype.json").read_bytes())
    succeed("draw", "genotype=run", cwd=tmp_path)
    drawn(folder / "genotype")
    assert len(list(folder.iterdir())) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_output_is_where_it_was_asked_for(tmp_path: Path) -> None:
    succeed("draw", "genotype=PC_DARTS_image", "output=pictures/new/v1.2", cwd=tmp_path)
    drawn(tmp_path / "pictures/new/v1.2")
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_a_retrained_run_is_drawn(retrained: tuple[Path, Outcome], tmp_path: Path) -> None:
    succeed("draw", f"genotype={retrained[0]}", f"output={tmp_path}/picture", cwd=tmp_path)
    drawn(tmp_path / "picture")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["genotype=DARTS_V9"], "DARTS_V9"),
        (["genotype=DARTS_V2", "outptu=x"], "'output'"),
        (["genotype=."], "genotype.json"),
        (["genotype=DARTS_V2", "output=file/x"], "file"),
    ],
)
def test_mistakes_are_one_line(words: list[str], named: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert named in call("draw", *words, cwd=tmp_path).error
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"
