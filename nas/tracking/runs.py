"""Finding what runs left on disk."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.reading import one_line, read_text
from nas.tracking.summary import NAME, Summary, read_summary

FAILED = "failed.txt"
"""Why a run of a sweep failed."""
LONGEST_REASON = 64_000
"""Bytes of it."""


@dataclass(frozen=True)
class LeftOut:
    """A run directory that no average counts, and why."""

    folder: Path
    reason: str


@dataclass(frozen=True)
class Runs:
    """All runs found: the finished ones by their folder, and the others."""

    finished: dict[Path, Summary]
    left_out: tuple[LeftOut, ...]


def is_run(folder: Path | str) -> bool:
    """Whether a run wrote into this folder: it holds a summary or Hydra's record of a job."""
    return os.path.lexists(Path(folder) / NAME) or (Path(folder) / ".hydra").is_dir()


def collect(folders: Iterable[Path | str]) -> Runs:
    """Reads every run at or below the folders, in the order of their paths; one reached twice counts once.

    A run without a readable summary is left out, with the reason. So is a run that repeats a later one, seed included:
    it is no further sample. Hidden folders and links are not followed.
    """
    finished: dict[Path, Summary] = {}
    left_out = []
    for folder in _run_folders(folders):
        if not os.path.lexists(folder / NAME):
            left_out.append(LeftOut(folder, _why_unfinished(folder)))
            continue
        try:
            finished[folder] = read_summary(folder)
        except ValueError as error:
            left_out.append(LeftOut(folder, str(error)))
    latest = {(*group(summary), summary.seed): folder for folder, summary in finished.items()}
    for folder, summary in list(finished.items()):
        if (later := latest[(*group(summary), summary.seed)]) != folder:
            left_out.append(LeftOut(folder, f"the same run, seed {summary.seed} included, as {later.as_posix()}"))
            del finished[folder]
    return Runs(finished, tuple(sorted(left_out, key=lambda item: item.folder)))


def group(summary: Summary) -> tuple[str, str, str, tuple[str, ...]]:
    """What runs have in common that differ in the seed alone: command, space, method and config.

    A run of a former version has no config, but the setting that was written down for it.
    """
    config = tuple(f"{key}={json.dumps(value)}" for key, value in sorted(summary.config.items()))
    return summary.command, summary.space, summary.method, config or summary.setting


def grouped(summaries: Iterable[Summary]) -> list[list[Summary]]:
    """The runs that differ in the seed alone, in its order; sorted by command, space, method and setting."""
    groups: dict[object, list[Summary]] = {}
    for summary in sorted(summaries, key=lambda one: (one.command, one.space, one.method, one.setting)):
        groups.setdefault(group(summary), []).append(summary)
    return [sorted(members, key=lambda one: one.seed) for members in groups.values()]


def shared_setting(members: Sequence[Summary]) -> tuple[str, ...]:
    """What was asked for in all of these runs; what some have by default and others by name is not in it."""
    return tuple(word for word in members[0].setting if all(word in other.setting for other in members))


def _why_unfinished(folder: Path) -> str:
    try:
        return f"failed: {one_line(read_text(folder / FAILED, LONGEST_REASON))}"
    except ValueError:
        return f"unfinished or failed: no {NAME}"


def _run_folders(folders: Iterable[Path | str]) -> Iterator[Path]:
    found = {folder.resolve(): folder for top in folders for folder in _walk(Path(top)) if is_run(folder)}
    yield from sorted(found.values())


def _walk(top: Path) -> Iterator[Path]:
    for folder, inner, _ in os.walk(top):
        inner[:] = [name for name in inner if not name.startswith(".")]
        yield Path(folder)
