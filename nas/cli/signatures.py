"""Parts of a config held against the classes that they name."""

import difflib
import inspect
import pydoc
from collections.abc import Iterable
from typing import Any

from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError

from nas.reading import shown


def part_mistakes(config: Any, place: str = "") -> list[str]:
    """What is wrong with the parts in a config: dicts that name a class by `_target_` and hold its arguments.

    A class that cannot be found, arguments that it does not have, that have no value yet (`???`), or whose type is not
    the one that it asks for; a line each, with the dotted key.
    """
    if not isinstance(config, dict):
        return []
    own = _against_signature(config, place) if "_target_" in config else []
    inner = [line for key, value in config.items() for line in part_mistakes(value, f"{place}.{key}".lstrip("."))]
    return own + inner


def located(target: str) -> Any:
    """What a `_target_` names, or None; a ValueError where its module cannot be imported."""
    try:
        return pydoc.locate(target)
    except pydoc.ErrorDuringImport as error:
        raise ValueError(str(error)) from None


def _against_signature(part: dict[str, Any], place: str) -> list[str]:
    target = part["_target_"]
    try:
        parameters = inspect.signature(located(target)).parameters
    except (ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        return [f"{place}._target_ is {target!r}, which cannot be found or is no class or function ({reason})"]
    mistakes = []
    for key in (key for key in part if not key.startswith("_")):
        if part[key] == "???":
            mistakes.append(f"{place}.{key} has no value, and {target} needs one: give {place}.{key}=VALUE")
        elif key in parameters:
            mistakes += _wrong_type(f"{place}.{key}", part[key], parameters[key].annotation)
        elif not any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters.values()):
            close = difflib.get_close_matches(key, list(parameters), n=1, cutoff=0.7)
            meant = f" (did you mean {close[0]!r}?)" if close else ""
            mistakes.append(f"there is no key '{place}.{key}'{meant}; {target} has {', '.join(parameters)}")
    lacking = [] if mistakes or {"_partial_", "_args_"} & part.keys() else _lacking(part, parameters.values())
    if lacking:
        mistakes.append(
            f"{place} lacks {', '.join(lacking)}, which {target} needs; give them, or _partial_: true where it gets "
            "them later"
        )
    return mistakes


def _lacking(part: dict[str, Any], parameters: Iterable[inspect.Parameter]) -> list[str]:
    """The arguments without a default that a part does not give."""
    named = [one for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    return [one.name for one in named if one.default is one.empty and one.name not in part]


def _wrong_type(name: str, value: Any, annotation: Any) -> list[str]:
    """Whether a value fits an annotation; nothing where it says nothing, or where the value is a part itself."""
    if annotation is inspect.Parameter.empty or isinstance(annotation, str) or "_target_" in str(value):
        return []
    try:
        fitted = TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(value)
        if type(value) is float and type(fitted) is int:  # the class would be given 2.0, not the 2 that it asks for
            return [f"{name} is {value}; should be a valid integer"]
    except ValidationError as error:
        first = error.errors()[0]
        of_list = first["type"] == "sequence_str" or first.get("ctx", {}).get("class") == "Sequence"
        if of_list and not first["loc"]:
            example = "" if value is None or isinstance(value, dict) else f", such as {name}=[{value}]"
            return [f"{name} is {shown(value)}; give a list{example}"]
        return [f"{name} is {shown(value)}; {first['msg'].removeprefix('Input ')}"]
    except PydanticSchemaGenerationError:
        pass
    return []
