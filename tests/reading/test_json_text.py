"""JSON that all readers take alike."""

import json

import pytest

from nas.reading import parse_json


@pytest.mark.parametrize("text", ['{"a": [1, -2.5, true, null, "é\\n"]}', "9223372036854775807", '"😀"', "[[[]]]"])
def test_json_is_what_python_reads(text: str) -> None:
    assert parse_json(text) == parse_json(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Expecting value"),
        ("NaN", "it holds nan, which is no number of JSON"),
        ('{"a": [-Infinity]}', "it holds -inf"),
        ("1e999", "it holds inf"),
        ("9223372036854775808", "it holds 9223372036854775808, an integer of more than 64 bits"),
        ("9" * 100_000, "Exceeds the limit"),
        ('{"a": 1, "b": {"c": 2, "c": 2}}', "it has the key 'c' twice"),
        ("[" * 65 + "]" * 65, "it is nested more than 64 levels deep"),
        ("[" * 1_000_000, "it is nested more than 64 levels deep"),
        (r'"\ud800"', r"it holds '\ud800', which is no text"),
        (r'{"\udfff": 1}', "which is no text"),
        ('"\x01"', "Invalid control character"),
        ("\ufeff{}", "BOM"),
    ],
)
def test_what_readers_take_differently_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        parse_json(text)
    assert words in str(error.value)
    assert len(str(error.value)) < 300


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(ValueError, match="byte 1 is not UTF-8"):
        parse_json(b'"\xff"')


def test_64_levels_are_allowed() -> None:
    assert parse_json("[" * 64 + "]" * 64)
