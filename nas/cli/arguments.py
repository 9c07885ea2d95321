"""Command lines: which words name a part, which a value, and where the configs are."""

import importlib.util
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

import nas

OPTIONAL = ("space", "experiment", "debug")
"""Groups without a default: `+space=x` and `space=x` mean the same."""

_KEY = r"(?P<key>[A-Za-z_][\w./@:-]*)"
_OVERRIDE = re.compile(rf"(?P<sign>\+{{0,2}}|~){_KEY}=(?P<value>.*)", re.DOTALL)
_LEFT_OUT = re.compile(f"~{_KEY}")


def _conf() -> Path:
    spec = importlib.util.find_spec("nas.conf")
    locations = spec.submodule_search_locations if spec else None
    return Path(locations[0]) if locations else Path(nas.__file__).parents[1] / "conf"


CONF = _conf()
"""The shipped configs: the package nas.conf, or `conf` beside it in a checkout that is not installed."""


def config_folders(arguments: Sequence[str]) -> list[Path]:
    """The folders with configs: the shipped one and the user's, given by --config-dir."""
    folders = [CONF]
    for position, word in enumerate(arguments):
        name, _, value = word.partition("=")
        if name in ("--config-dir", "-cd"):
            folders += [Path(given) for given in ([value] if value else arguments[position + 1 : position + 2])]
    return folders


def options(group: str, arguments: Sequence[str]) -> list[str]:
    """The options of a group of parts, such as `data`."""
    return sorted({path.stem for folder in config_folders(arguments) for path in (folder / group).glob("*.yaml")})


def groups(arguments: Sequence[str]) -> list[str]:
    """The names of all groups."""
    return sorted({path.name for folder in config_folders(arguments) for path in folder.glob("*/") if path.is_dir()})


def overrides(arguments: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """(sign, key, value) of every override among the arguments."""
    for word in arguments:
        if match := _OVERRIDE.fullmatch(word):
            yield match["sign"], match["key"], match["value"]


def one_run(arguments: Sequence[str]) -> bool:
    """Whether arguments are values and parts of one run alone: no flag, and nothing that could make a sweep of it."""
    found = [_OVERRIDE.fullmatch(word) or _LEFT_OUT.fullmatch(word) for word in arguments]
    return not {None, "hydra", "hydra.mode", "hydra.searchpath"} & {match and match["key"] for match in found}


def keys_given(section: str, arguments: Sequence[str]) -> Iterator[str]:
    """The keys of a section that readable arguments give: `network.stem=cifar` and `network={stem:cifar}` give stem."""
    for _, key, value in overrides(arguments):
        outer, _, inner = key.partition(".")
        if outer == section and inner:
            yield inner
        elif outer == section:
            parsed = OverridesParser.create().parse_override(f"{key}={value}").value()
            yield from map(str, parsed if isinstance(parsed, dict) else ())


def normalized(arguments: Sequence[str]) -> list[str]:
    """The arguments as Hydra wants them.

    `+space=x` becomes `space=x`. `a.b=c` becomes `++a.b=c`, which adds unknown keys instead of stopping at the first:
    the schema then names all of them at once. A value that is an existing path is quoted if it needs to be. Overrides
    come last, because Hydra does not take them on both sides of a flag.
    """
    known = groups(arguments)
    flags, words = [], []
    for word in arguments:
        match = _OVERRIDE.fullmatch(word)
        if match:
            words.append(_normalized(match["sign"], match["key"], match["value"], known))
        elif _LEFT_OUT.fullmatch(word):
            words.append(word)
        else:
            flags.append(word)
    return [*flags, *words]


def _normalized(sign: str, key: str, value: str, groups: Sequence[str]) -> str:
    if re.search(r"[^\w./-]", value) and os.path.exists(value):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        value = f"'{escaped}'"
    if key in OPTIONAL:
        sign = sign.replace("+", "")
    elif not sign and not key.startswith("hydra") and key.split("@")[0] not in groups:
        sign = "++"
    return f"{sign}{key}={value}"


def naming(overrides: str) -> str:
    """A folder name made of a sweep's overrides that needs no quotes anywhere, of at most 120 characters."""
    return re.sub(r"[^\w.-]", "-", overrides.replace("+", "").replace(",", "_"))[:120]


def register_naming() -> None:
    """Makes it known to configs as `run_name`."""
    OmegaConf.register_new_resolver("run_name", naming, replace=True)
