"""Genotypes as JSON."""

import json
from typing import Any

import pytest

from nas.architecture import Genotype

GENOTYPE = Genotype(
    "darts",
    {"operators": ["none", "skip_connect"], "num_nodes": 1, "name": 'quoted "ü"\n'},
    {"normal/2": [["skip_connect", 0]], "normal/concat": [2], "conv1/width": 16, "conv1/bits": 2.5, "pool": None},
)


def data(**changes: Any) -> dict[str, Any]:
    return {"format": "nas-genotype", "version": 1, "space": "s", "settings": {}, "decisions": {}, **changes}


def test_json_brings_back_the_genotype() -> None:
    assert Genotype.from_json(GENOTYPE.to_json()) == GENOTYPE
    assert Genotype.from_dict(GENOTYPE.to_dict()) == GENOTYPE
    empty = Genotype("s", {}, {})
    assert Genotype.from_json(empty.to_json()) == empty


def test_json_names_format_and_version_and_gives_a_decision_a_line() -> None:
    text = GENOTYPE.to_json()
    assert json.loads(text) == {
        "format": "nas-genotype",
        "version": 1,
        "space": "darts",
        "settings": GENOTYPE.settings,
        "decisions": GENOTYPE.decisions,
    }
    assert text.endswith("}\n")
    assert '    "normal/2": [["skip_connect", 0]],\n    "normal/concat": [2],\n' in text
    assert list(GENOTYPE.to_dict()) == ["format", "version", "space", "settings", "decisions"]


def test_the_order_of_decisions_is_kept() -> None:
    assert list(Genotype.from_json(GENOTYPE.to_json()).decisions) == list(GENOTYPE.decisions)


def test_data_becomes_plain_and_does_not_follow_its_source() -> None:
    genes = [("conv", 0), ("skip", 1)]
    genotype = Genotype("s", {"operators": ("a", "b")}, {"normal/2": genes})
    genes.append(("pool", 0))
    assert genotype.settings == {"operators": ["a", "b"]}
    assert genotype.decisions == {"normal/2": [["conv", 0], ["skip", 1]]}


@pytest.mark.parametrize("value", [{1, 2}, object(), float("nan"), float("inf"), b"bytes"])
def test_what_is_not_plain_data_is_refused(value: Any) -> None:
    for field in ("settings", "decisions"):
        arguments: dict[str, Any] = {"settings": {}, "decisions": {}, field: {"key": value}}
        with pytest.raises(ValueError, match=f"^the {field} of a genotype are plain JSON data; "):
            Genotype("s", **arguments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "this is not a genotype: it is not JSON (Expecting value: line 1 column 1 (char 0))"),
        ("{]", "this is not a genotype: it is not JSON (Expecting property name"),
        ("[" * 100_000, "this is not a genotype: it is not JSON (it is nested more than 64 levels deep"),
        ("[]", "this is not a genotype: it has no \"format\": 'nas-genotype'"),
        ("7", "this is not a genotype: it has no \"format\": 'nas-genotype'"),
        ('{"format": "other"}', "this is not a genotype: it has no \"format\": 'nas-genotype'"),
    ],
)
def test_foreign_text(text: str, message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        Genotype.from_json(text)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "this genotype has version 2; this program reads 1"),
        ({"version": "1"}, "this genotype has version '1'; this program reads 1"),
        ({"version": None}, "this genotype has version None; this program reads 1"),
        (
            {"extra": 1},
            "a genotype has the fields space, settings, decisions; this one has space, settings, decisions, extra",
        ),
        ({"space": 3}, "'space' of a genotype is a str; this one is 3"),
        ({"settings": []}, "'settings' of a genotype is a dict; this one is []"),
        ({"decisions": None}, "'decisions' of a genotype is a dict; this one is None"),
    ],
)
def test_data_that_is_no_genotype_of_this_version(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        Genotype.from_json(json.dumps(data(**changes)))
    assert str(error.value) == message


@pytest.mark.parametrize("field", ["space", "settings", "decisions"])
def test_a_field_that_is_missing(field: str) -> None:
    left = data()
    del left[field]
    with pytest.raises(ValueError, match=r"^a genotype has the fields space, settings, decisions; this one has "):
        Genotype.from_dict(left)


def test_not_a_number_is_refused_from_a_file_too() -> None:
    with pytest.raises(ValueError, match="it holds nan, which is no number of JSON"):
        Genotype.from_json(json.dumps(data(decisions={"width": float("nan")})))
