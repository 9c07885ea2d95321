"""What `nas.search` does with the configs of a folder before it makes a run directory."""

from collections.abc import Callable
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from nas.cli.arguments import CONF, normalized
from nas.cli.mistakes import Mistakes, checked, find_mistakes, in_one_line

WORDS = {
    "space": ("+space=mine",),
    "method": ("+space=pc_darts", "method=mine"),
    "data": ("+space=pc_darts", "data=mine"),
    "experiment": ("+space=pc_darts", "+experiment=mine"),
}
"""The words of a command that takes a config of a group."""


def originals(group: str) -> tuple[bytes, ...]:
    """The shipped configs of a group that is composed without further words."""
    left_out = {"custom.yaml", *(path.name for path in (CONF / group).glob("retrain*"))}
    return tuple(path.read_bytes() for path in sorted((CONF / group).glob("*.yaml")) if path.name not in left_out)


def composed(group: str) -> Callable[[Path], None]:
    """Looks for mistakes as a command does, then composes and checks as Hydra does for it."""

    def read(folder: Path) -> None:
        before, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None  # a command has none yet
        try:
            lines = _found(group) or _told(group, folder)
        finally:
            GlobalHydra.instance().hydra = before
        if lines:
            raise ValueError(lines[0])

    return read


def _found(group: str) -> list[str]:
    """Before Hydra begins; no error may end it."""
    try:
        return in_one_line(Mistakes(found)) if (found := find_mistakes("search", _words(group))) else []
    except Exception as error:
        raise AssertionError(f"{type(error).__name__} while mistakes are looked for: {error}") from error


def _told(group: str, folder: Path) -> list[str]:
    """What a command says where Hydra itself, or the check of its settings, raises an error."""
    overrides = [*normalized(WORDS[group]), f"hydra.searchpath=[file://{folder / 'conf'}]"]
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("search", overrides=overrides)
        checked("search", OmegaConf.to_container(config, resolve=True))
    except Exception as error:
        if not (lines := in_one_line(error)):
            raise
        return lines
    return []


def _words(group: str) -> tuple[str, ...]:
    return ("--config-dir", "conf", *WORDS[group])
