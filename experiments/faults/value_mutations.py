"""Damage to data whose form is right: other values, types and sizes anywhere in it."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

from experiments.faults.bytes_mutations import mutate_bytes


def nested(depth: int) -> list[Any]:
    """A list in a list, and so on."""
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    7,
    2**31,
    2**63,
    10**30,
    -1.5,
    0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "a",
    "a\nb\x1b[2J",
    "\ud800",
    "é" * 40,
    "x" * 10_000,
    "_target_",
    "${oc.env:HOME}",
    "os.abort",
    "/dev/zero",
    "../../../../etc/passwd",
    [],
    {},
    [0] * 1_000,
    [[]],
    ["a", 1],
    {"_target_": "os.abort"},
    {"a": {"b": 1}},
    nested(200),
)
"""Values that somewhere nobody thought of."""


def mutate_value(data: Any, rng: random.Random) -> Any:
    """A copy with one to three changes, each at any place: a value of another kind, missing, doubled or swapped."""
    changed = [copy.deepcopy(data)]
    for _ in range(rng.choice((1, 1, 2, 3))):
        holder, key = rng.choice(list(_places(changed)))
        rng.choice((_nudge, _nudge, _nudge, _replace, _replace, _remove, _double, _swap))(holder, key, changed, rng)
        if not changed:
            return None
    return changed[0]


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """JSON with other values, written with a key twice in every eighth, or other bytes in every fourth case."""
    text = json.dumps(mutate_value(json.loads(data), rng)).encode()
    if rng.random() < 1 / 8:
        text = text.replace(b"{", rng.choice((b'{"format": 1, ', b'{"a": 1, "a": 2, ')), 1)
    return mutate_bytes(text, rng) if rng.random() < 1 / 4 else text


def mutate_json_lines(data: bytes, rng: random.Random) -> bytes:
    """The same for one line of several."""
    lines = data.splitlines(keepends=True)
    chosen = rng.randrange(len(lines))
    lines[chosen] = mutate_json(lines[chosen], rng) + b"\n"
    return b"".join(lines)


def _places(holder: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything within a container."""
    for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
        yield holder, key
        if isinstance(holder[key], dict | list):
            yield from _places(holder[key])


def _replace(holder: Any, key: Any, whole: list[Any], rng: random.Random) -> None:
    holder[key] = copy.deepcopy(rng.choice(ODD))


def _nudge(holder: Any, key: Any, whole: list[Any], rng: random.Random) -> None:
    """Another value of the same type: the next number, or one of the other values."""
    kind = type(holder[key])
    alike = [place[name] for place, name in _places(whole) if type(place[name]) is kind]
    alike += [holder[key] + 1, holder[key] - 1, -holder[key], float(holder[key])] if kind in (int, float) else []
    holder[key] = copy.deepcopy(rng.choice(alike))


def _remove(holder: Any, key: Any, whole: list[Any], rng: random.Random) -> None:
    del holder[key]


def _double(holder: Any, key: Any, whole: list[Any], rng: random.Random) -> None:
    if isinstance(holder, dict):
        holder[rng.choice(("a", "_target_", "normal/9", "x\ny", f"{key}/2"))] = copy.deepcopy(holder[key])
    else:
        holder.extend([holder[key]] * rng.choice((1, 100)))


def _swap(holder: Any, key: Any, whole: list[Any], rng: random.Random) -> None:
    other, place = rng.choice(list(_places(whole)))
    holder[key], other[place] = copy.deepcopy(other[place]), copy.deepcopy(holder[key])
