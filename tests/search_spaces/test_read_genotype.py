"""Genotypes by whatever name a person has for them."""

from pathlib import Path

import pytest

from nas.architecture import Genotype
from search_spaces.cells.authors_form import write
from search_spaces.cells.published import PUBLISHED
from search_spaces.genotypes import LARGEST_FILE, read_genotype
from tests.contracts import draws
from tests.search_spaces.spaces import pc_darts

GENOTYPE = draws(pc_darts(), 1)[0]


def message(argument: Path | str) -> str:
    """What a refusal says; always one line."""
    with pytest.raises(ValueError) as error:  # noqa: PT011
        read_genotype(str(argument))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_names(name: str) -> None:
    assert read_genotype(name) == PUBLISHED[name]


@pytest.mark.parametrize("name", ["genotype.json", "anything.txt"])
@pytest.mark.parametrize("space", ["", "\n  "])
def test_a_json_file_whatever_it_is_called(tmp_path: Path, name: str, space: str) -> None:
    (tmp_path / name).write_text(space + GENOTYPE.to_json(), encoding="utf-8")
    assert read_genotype(str(tmp_path / name)) == GENOTYPE


def test_a_run_directory(tmp_path: Path) -> None:
    (tmp_path / "genotype.json").write_text(GENOTYPE.to_json(), encoding="utf-8")
    assert read_genotype(str(tmp_path)) == GENOTYPE
    assert read_genotype(f"{tmp_path}/") == GENOTYPE


@pytest.mark.parametrize("prefix", ["", "MINE = "])
def test_a_file_in_the_authors_form(tmp_path: Path, prefix: str) -> None:
    path = tmp_path / "cell.py"
    path.write_text(prefix + write(PUBLISHED["NASNet"]) + "\n", encoding="utf-8")
    assert read_genotype(str(path)) == PUBLISHED["NASNet"]


def test_a_published_name_goes_before_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("DARTS").write_text(GENOTYPE.to_json(), encoding="utf-8")
    assert read_genotype("DARTS") == PUBLISHED["DARTS_V2"]
    assert read_genotype("./DARTS") == GENOTYPE


def test_nothing_of_that_name(tmp_path: Path) -> None:
    wanted = f"there is no genotype '{tmp_path}/none': give a run directory, a file, or one of DARTS_V1, DARTS_V2, "
    assert message(tmp_path / "none").startswith(wanted)
    assert "AmoebaNet" in message("DARTS_V3")


def test_a_directory_without_a_genotype(tmp_path: Path) -> None:
    wanted = f"{tmp_path} holds no genotype.json: its search has not finished an epoch, or is no run"
    assert message(tmp_path) == wanted


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", "this is not a genotype: it is neither JSON nor the authors' form Genotype("),
        (b"hello\nworld\n", "this is not a genotype: it is neither JSON nor the authors' form Genotype("),
        (b'{"format": "nas-genotype"', "this is not a genotype: it is not JSON ("),
        (b'{"params": 3}', 'this is not a genotype: it has no "format": '),
        (
            b"Genotype = namedtuple('Genotype', 'normal')",
            "this is not a genotype in the authors' form; that is Genotype(",
        ),
        (b"Genotype(normal=__import__('os').getcwd())", "__import__('os').getcwd() has no place in a genotype; "),
    ],
    ids=["empty", "prose", "broken_json", "other_json", "other_code", "injection"],
)
def test_files_that_hold_no_genotype(tmp_path: Path, content: bytes, wanted: str) -> None:
    path = tmp_path / "genotype.json"
    path.write_bytes(content)
    assert message(path).startswith(f"{path}: {wanted}")
    assert message(tmp_path).startswith(f"{path}: {wanted}")


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "genotype.json"
    path.write_text(GENOTYPE.to_json().ljust(LARGEST_FILE), encoding="utf-8")
    assert read_genotype(str(path)) == GENOTYPE
    path.write_text(GENOTYPE.to_json().ljust(LARGEST_FILE + 1), encoding="utf-8")
    assert message(path) == (
        f"this is not a genotype: {str(path)!r} has 1,000,001 bytes or more; a file of its kind may have 1,000,000"
    )


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "genotype.json").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    wanted = f"this is not a genotype: '{tmp_path}/genotype.json' is not text: byte 0 is not UTF-8"
    assert message(tmp_path) == message(tmp_path / "genotype.json") == wanted


def test_a_genotype_of_a_later_version(tmp_path: Path) -> None:
    path = tmp_path / "genotype.json"
    path.write_text(GENOTYPE.to_json().replace('"version": 1', '"version": 7'), encoding="utf-8")
    assert message(path) == f"{path}: this genotype has version 7; this program reads 1"
    assert Genotype.from_json(GENOTYPE.to_json()) == GENOTYPE


def test_the_authors_form_itself() -> None:
    assert read_genotype(write(PUBLISHED["NASNet"])) == PUBLISHED["NASNet"]


def test_a_name_longer_than_a_path_can_be() -> None:
    with pytest.raises(ValueError, match="there is no genotype 'xxx"):
        read_genotype("x" * 5000)
