"""Whether two runs compute the same, by their settings."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from nas.cli.arguments import overrides
from nas.cli.progress import shown
from nas.reading import one_line

FREE = ("resume", "trainer.checkpoint_steps", "trainer.stop_signals", "trainer.on_nan", "data.workers")
"""Settings that change no bit of what is computed while losses are finite."""


def require_settings(began: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """A ValueError with every setting that matters and that is not the one of the run in `folder`."""
    old, new = flat(began), flat(now)
    differing = [
        f"{key} was {one_line(old.get(key, 'not there'))} and is {new.get(key, 'not there')}"
        for key in sorted(old.keys() | new.keys())
        if key not in FREE and not _same(old.get(key, ...), new.get(key, ...)) and not _grown(key, old, new)
    ]
    if differing:
        raise ValueError(
            f"resume=true goes on with the settings that {shown(folder)} began with, but {'; '.join(differing)}: give "
            "those, or another hydra.run.dir"
        )


def deciding(words: Iterable[str]) -> tuple[str, ...]:
    """The words of a command that say what a run computes."""
    return tuple(word for word in words if next((key for _, key, _ in overrides([word])), "") not in FREE)


def deciding_values(settings: Mapping[str, Any], words: Iterable[str], choices: Mapping[str, str]) -> dict[str, Any]:
    """The values that say what a run computes, by dotted keys, without its seed; `choices` names the parts of groups.

    Where the data lie is one of them only if the words of the command say it.
    """
    typed = {key for word in words for _, key, _ in overrides([word])}
    left_out = {*FREE, "seed", "data.download", *({"data.root"} - typed)}
    return {**choices, **{key: value for key, value in flat(settings).items() if key not in left_out}}


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of a nested mapping by their dotted keys."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return found


def _grown(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    epochs = old.get(key)
    return key == "trainer.epochs" and type(epochs) is int and epochs < new[key]


def _same(old: Any, new: Any) -> bool:
    """Whether two settings are equal; what is no setting, such as a tensor, equals none."""
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_same, old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(_same(old[key], new[key]) for key in old)
    return not isinstance(old, Tensor) and old == new
