"""Damage to configs: values, bytes, and what YAML can say in few words that takes long to write out."""

import random
from typing import Any

import yaml

from experiments.faults.bytes_mutations import mutate_bytes
from experiments.faults.value_mutations import mutate_value, nested


def mutate_config(data: bytes, rng: random.Random) -> bytes:
    """YAML with other values; a part names the class that it named, or one of those that the file names."""
    head = b"".join(_comments(data))
    changed = mutate_value(yaml.safe_load(data), rng)
    if isinstance(changed, dict) and rng.random() < 1 / 2:
        for _ in range(rng.choice((1, 2))):
            changed[rng.choice([*changed, "seed", "defaults", "hydra", "trainer", "odd"])] = rng.choice(VALUES)
    return head + yaml.dump(_tame(changed), sort_keys=False, default_flow_style=rng.random() < 0.2).encode()


def mutate_words(data: bytes, rng: random.Random) -> bytes:
    """YAML with something written in front of it, behind it, or between its lines."""
    lines = data.splitlines(keepends=True)
    place = rng.choice((0, len(lines), rng.randrange(len(lines) + 1)))
    return b"".join([*lines[:place], rng.choice(TEXTS).encode(), b"\n", *lines[place:]])


def _comments(data: bytes) -> list[bytes]:
    """The lines at the top that Hydra reads, such as `# @package _global_`."""
    return [line for line in data.splitlines(keepends=True)[:3] if line.startswith(b"# @")]


def _tame(value: Any) -> Any:
    """The same without classes that no config of this program names, and with text that can be written."""
    if isinstance(value, dict):
        return {_tame(key): _tame(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_tame(item) for item in value]
    if isinstance(value, str):
        return value.encode(errors="replace").decode().replace("os.abort", "nas.relaxation.Softmax")
    return value


def laughs(levels: int = 12) -> str:
    """A list of ten aliases of a list of ten aliases, and so on: 10^levels values in a few lines."""
    lines = ["a0: &a0 [ha]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


TEXTS = (
    laughs(),
    laughs(40),
    "a: &a [*a, *a]",
    "a: &a {b: *a}",
    "<<: &a {<<: *a}",
    "<<: [1, 2]",
    "<<: {_partial_: true}",
    "&a x: *a",
    "*a",
    "? [1, 2]\n: 3",
    "? {a: 1}\n: 3",
    "a: " + "[" * 500 + "]" * 500,
    "{" * 3_000,
    "- " * 1_000 + "a",
    "a: " + "9" * 6_000,
    "a: 0x" + "f" * 6_000,
    "a: 1" + ":59" * 2_000,
    "seed: 1e999",
    "seed: .nan",
    "seed: 2001-99-99",
    "seed: 2001-01-01",
    "a: !!python/object/apply:os.abort []",
    "a: !!binary '==='",
    "a: !!set {b, c}",
    "a: !!timestamp x",
    "a: !!int x",
    "a: !!float ''",
    "a: !!null [1]",
    "!!omap [a: 1]",
    "--- \n---\na: 1",
    "%YAML 9.9\n---",
    "seed: ${seed}",
    "seed: ${trainer}",
    "trainer: ${trainer.epochs}",
    "seed: ${oc.env:NOWHERE}",
    "seed: ${oc.decode:'['}",
    "seed: ${now:%}",
    "seed: ${no.such.thing}",
    "seed: ${",
    "seed: ${${${seed}}}",
    "seed: ???",
    "seed: ${hydra:runtime.cwd}",
    "seed: ${oc.create:{a:1}}",
    "defaults: [nowhere]",
    "defaults: [mine]",
    "defaults: [{override /data: nowhere}]",
    "defaults: [{/space: mine}]",
    "defaults: {a: b}",
    "defaults: [[a]]",
    "defaults: [1, null, {a: [b]}]",
    "defaults: [{'${a}': b}]",
    "hydra: {run: {dir: 7}}",
    "hydra: 3",
    "hydra: {searchpath: [nowhere://x]}",
    "hydra: {callbacks: null}",
    "seed: 1\nseed: 2",
    "\ta: 1",
    "a\x07: 1",
)
VALUES: tuple[Any, ...] = (
    nested(80),
    10**5_000 // 10**1_000,
    -(10**30),
    1e308,
    float("nan"),
    "${seed}",
    "${trainer.epochs}",
    "${no.such.thing}",
    "???",
    [{"override /data": "nowhere"}],
    {"a": "${a}"},
    {3: 4, None: 5},
    {True: "a"},
    "x" * 100_000,
    b"bytes",
)

CONFIG = (mutate_config, mutate_config, mutate_words, mutate_words, mutate_bytes)
"""What damages a config."""
