"""Links in a directory that Hydra writes in, which it follows to wherever they lead."""

from collections.abc import Iterable
from pathlib import Path


def require_no_links(paths: Iterable[Path]) -> None:
    """A ValueError that names the first of these paths that is a link, or is a folder that holds one."""
    for path in paths:
        for place in (path, *(sorted(path.iterdir()) if path.is_dir() and not path.is_symlink() else ())):
            if place.is_symlink():
                raise ValueError(
                    f"{place} is a link, and what a run writes there would land in {place.readlink()}: remove it, or "
                    "give another directory"
                )


def written_in_run(folder: Path, subdir: str | None) -> list[Path]:
    """What Hydra writes in the directory of a run."""
    return [] if subdir is None else [folder / subdir]


def written_in_sweep(folder: Path, subdir: str | None) -> list[Path]:
    """What Hydra writes in the directory of a sweep, and in those of its runs that are there already."""
    runs = [path for path in sorted(folder.iterdir()) if path.is_dir()] if folder.is_dir() else []
    own = [path for run in runs for path in written_in_run(run, subdir)]
    return [folder / "multirun.yaml", *(run for run in runs if run.is_symlink()), *own]
