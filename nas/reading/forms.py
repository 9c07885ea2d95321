"""Plain data held against other data of the form that it must have."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nas.reading.words import shown


def require_form(found: Any, like: Any, name: str) -> None:
    """A ValueError unless `found` is what `like` is, values apart: the same keys, lengths, types, shapes and dtypes.

    The message says where it differs, such as `alphas['normal']`.
    """
    if isinstance(like, Tensor):
        if not isinstance(found, Tensor) or found.shape != like.shape or found.dtype != like.dtype:
            raise ValueError(f"{name} is {form_of(found)}, and here {form_of(like)}")
    elif isinstance(like, Mapping):
        require_keys(found, like, name)
        for key, value in like.items():
            require_form(found[key], value, f"{name}[{key!r}]")
    elif isinstance(like, list | tuple):
        if type(found) is not type(like) or len(found) != len(like):
            raise ValueError(f"{name} is {form_of(found)}, and here {form_of(like)}")
        for index, (one, other) in enumerate(zip(found, like, strict=True)):
            require_form(one, other, f"{name}[{index}]")
    elif type(found) is not type(like):
        raise ValueError(f"{name} is {form_of(found)}, and here {form_of(like)}")


def require_keys(found: Any, keys: Mapping[Any, Any], name: str) -> None:
    """A ValueError unless `found` is a mapping with these keys and no others."""
    if not isinstance(found, Mapping):
        raise ValueError(f"{name} is {form_of(found)}, not named values")
    for key in keys:
        if key not in found:
            raise ValueError(f"{name} lacks {shown(key)}")
    for key in found:
        if key not in keys:
            raise ValueError(f"{name} has {shown(key)}, which is not there here")


def require_count(found: Any, name: str, most: int | None = None) -> int:
    """The whole number from 0 to `most` that `found` is; a ValueError for anything else."""
    if type(found) is not int or found < 0 or (most is not None and found > most):
        allowed = "a number from 0 on" if most is None else f"a number from 0 to {most}"
        raise ValueError(f"{name} is {shown(found)}, not {allowed}")
    return found


def form_of(value: Any) -> str:
    """What a value is, in a few words."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {list(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return "named values" if isinstance(value, Mapping) else shown(value)
