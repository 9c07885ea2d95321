"""YAML of anybody, which may say much in few words."""

import time

import pytest

from experiments.faults.config_mutations import laughs
from nas.reading import check_yaml


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: 1",
        "- a\n- [b, {c: d}]\n",
        "a: &x [1, 2]\nb: *x\nc: {<<: &y {d: 1}}\n",
        laughs(4),
        f"a: '{'9' * 5_000}'",
        "a: !!str 3",
        "--- {a: '${b}'}\n...\n",
        "a: " + "[" * 60 + "]" * 60,
    ],
)
def test_what_stays_small_passes(text: str) -> None:
    check_yaml(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (laughs(6), "written out it has more than 100,000 values"),
        (laughs(1_000), "written out it has more than 100,000 values"),
        ("a: &a [*a]", "its alias 'a' is of nothing, or of what it is in itself"),
        ("a: &a {b: {c: [*a]}}", "its alias 'a' is of nothing"),
        ("*a", "its alias 'a' is of nothing"),
        ("a: " + "[" * 70 + "]" * 70, "it is nested more than 64 levels deep"),
        ("- " * 3_000 + "a", "it is nested more than 64 levels deep"),
        ("a: " + "9" * 5_000, "is too long a word: write it in quotes"),
        ("a: !!timestamp x", "it has the tag 'tag:yaml.org,2002:timestamp': write the value itself"),
        ("a: !!python/object/apply:os.abort []", "it has the tag 'tag:yaml.org,2002:python/object/apply:os.abort'"),
        ("a: [", "expected the node content"),
        ("\x00", "special characters are not allowed"),
    ],
)
def test_what_does_not_is_told_at_once(text: str, said: str) -> None:
    start = time.monotonic()
    with pytest.raises(ValueError) as error:  # noqa: PT011
        check_yaml(text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert time.monotonic() - start < 5
