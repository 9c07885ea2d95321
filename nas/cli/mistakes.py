"""Every mistake of a person in one clear line."""

import difflib
from collections.abc import Sequence
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError

from nas.cli.arguments import CONF, config_folders, groups, normalized, options, overrides
from nas.cli.config_files import unreadable_configs
from nas.cli.settings import SETTINGS
from nas.cli.signatures import part_mistakes
from nas.optimization import NonFiniteLossError
from nas.parallel import DisagreementError
from nas.reading import one_line

_SAME = {"flops": "macs"}
"""What keys are called here that people know by names that look like other keys."""


class Mistakes(ValueError):
    """Several mistakes, a line each."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = list(lines)


def find_mistakes(config_name: str, arguments: Sequence[str], *, alone: bool = False) -> list[str]:
    """All that is wrong with a command line, before Hydra stops at the first mistake or makes a run directory.

    Words that cannot be read and unknown options of groups come first, then what the schema says of the rest. The runs
    of a sweep, whose values are lists, check themselves, and so does a run `alone` whose words are all right: its
    config is not composed twice.
    """
    if lines := unreadable_configs(arguments):
        return lines
    sweep = bool({"-m", "--multirun"} & {*arguments})
    wrong, good = [], []
    for word in arguments:
        lines = _unreadable(word, sweep) or _unknown_options(word, arguments)
        wrong += lines
        if not lines:
            good.append(word)
    if not wrong and (alone or sweep or {"-h", "--help", "--hydra-help", "--cfg", "-c", "--info"} & {*arguments}):
        return []
    words = [word for word in normalized(good) if next(overrides([word]), None) or word.startswith("~")]
    bad = [(key, value) for word in {*arguments} - {*good} for _, key, value in overrides([word])]
    if any(key in ("space", "experiment") for key, _ in bad):
        words.append(f"space={_likely_space(next((value for key, value in bad if key == 'space'), ''), arguments)}")
    return wrong + _schema_mistakes(config_name, words, arguments)


def _likely_space(given: str, arguments: Sequence[str]) -> str:
    """The space whose keys the other words are held against: one of those given, else the most like them."""
    known = options("space", arguments)
    chosen = [option.strip() for option in given.split(",")]
    alike = (name for option in chosen for name in difflib.get_close_matches(option, known, n=1, cutoff=0.0))
    return next((option for option in chosen if option in known), next(alike, known[0]))


def _unreadable(word: str, sweep: bool) -> list[str]:
    """What is wrong with an override as a word; Hydra reports it without naming the word, or in its own form of it."""
    if not word.strip():
        return ["a word of the command is empty: leave it out, as a shell makes it of quotes around nothing"]
    if "=" not in word or word.startswith("-"):
        return []
    if not next(overrides([word]), None):
        return [f"{word!r} names no key; write key=value"]
    (read,) = normalized([word])
    try:
        parsed = OverridesParser.create().parse_override(read)
    except HydraException as error:
        return [f"{word!r} cannot be read ({str(error).splitlines()[0]}); write key=value, with quotes where needed"]
    if parsed.is_sweep_override() and not sweep:
        return [f"{word!r} lists several values; add -m to run each of them, or write a list as key=[a,b]"]
    return []


def _schema_mistakes(config_name: str, words: Sequence[str], arguments: Sequence[str]) -> list[str]:
    found = [f"file://{folder.absolute()}" for folder in config_folders(arguments) if folder != CONF]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            config = compose(config_name, overrides=[*words, f"hydra.searchpath={found}"])
            checked(config_name, OmegaConf.to_container(config, resolve=True))
        except Mistakes as mistakes:
            return mistakes.lines
        except (HydraException, OmegaConfBaseException):
            pass  # Hydra says itself what it cannot compose
        except (yaml.YAMLError, ValueError, OSError, RecursionError) as error:
            folders = ", ".join(str(folder) for folder in config_folders(arguments)[1:])
            return [f"a config in {folders} cannot be read: {one_line(error)}; mend it"]
    return []


def _unknown_options(word: str, arguments: Sequence[str]) -> list[str]:
    _, key, value = next(overrides([word]), ("", "", ""))
    group = key.split("@")[0]
    if group not in groups(arguments):
        return []
    known = options(group, arguments)
    chosen = [option.strip() for option in value.split(",")]
    own = "" if config_folders(arguments)[1:] else ", or give the folder with your own as --config-dir FOLDER"
    return [
        f"there is no {group} {option!r}; choose one of {', '.join(known)}{_meant(option, known)}{own}"
        for option in chosen
        if option not in known and option.isidentifier()
    ]


def checked(config_name: str, config: Any) -> Any:
    """The settings of a command, validated; raises Mistakes with all that is wrong."""
    given = {key: value for key, value in config.items() if value != "???"}
    lines = part_mistakes(given)
    try:
        settings = SETTINGS[config_name].model_validate(given)
    except ValidationError as error:
        lines = [_line(SETTINGS[config_name], config, dict(mistake)) for mistake in error.errors()] + lines
    if lines:
        raise Mistakes(lines)
    return settings


def in_one_line(error: BaseException) -> list[str]:
    """The lines that tell a person of a mistake; none for an error that is the program's own."""
    if isinstance(error, Mistakes):
        return [one_line(line) for line in error.lines]
    told_by_cause = isinstance(error, InstantiationException) or (isinstance(error, HydraException) and not str(error))
    if told_by_cause and error.__cause__ is not None:
        return in_one_line(error.__cause__) or [one_line(error) or type(error).__name__]
    of_configs = HydraException | OmegaConfBaseException | yaml.YAMLError
    told = ValueError | NonFiniteLossError | DisagreementError | OSError | of_configs
    if isinstance(error, told):
        return [one_line(error)]
    return []


def _line(model: type[BaseModel], config: Any, mistake: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in mistake["loc"])
    if mistake["type"] == "extra_forbidden":
        known = _keys_beside(model, mistake["loc"])
        return f"there is no key {place!r}{_meant(place.rsplit('.', 1)[-1], known)}; the keys are {', '.join(known)}"
    if mistake["type"] == "missing":
        return f"{place} is missing: give {place}=VALUE"
    if mistake["type"] == "value_error":
        return str(mistake["ctx"]["error"])
    return f"{place} is {mistake['input']!r}; {mistake['msg'].removeprefix('Input ')}"


def _keys_beside(model: type[BaseModel], place: tuple[Any, ...]) -> list[str]:
    for part in place[:-1]:
        inner = model.model_fields[str(part)].annotation
        assert isinstance(inner, type)
        assert issubclass(inner, BaseModel)
        model = inner
    return sorted(model.model_fields)


def _meant(given: str, known: Sequence[str]) -> str:
    close = [_SAME[given]] if _SAME.get(given) in known else difflib.get_close_matches(given, known, n=1, cutoff=0.7)
    return f" (did you mean {close[0]!r}?)" if close else ""
