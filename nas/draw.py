"""python -m nas.draw genotype=G: draws a genotype."""

import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from nas.cli.command import run
from nas.cli.following import check_following
from nas.cli.mistakes import checked
from nas.cli.parts import space_of
from nas.cli.settings import Draw
from search_spaces.genotypes import read_genotype


def draw(config: DictConfig) -> None:
    """Writes the picture as .dot, .svg and .png, and where sizes were chosen, those as bars."""
    from nas.cli.drawing import write_picture, write_sizes  # here, so that --help and errors do not wait for matplotlib

    settings: Draw = checked("draw", OmegaConf.to_container(config, resolve=True))
    check_following(settings.genotype)
    genotype = read_genotype(settings.genotype)
    stem = Path(settings.output) if settings.output else _beside(Path(settings.genotype))
    stem.parent.mkdir(parents=True, exist_ok=True)
    space = space_of(genotype, settings.space)
    write_picture(space.graphs(genotype), stem, caption=space.name)
    drawn = [f"{stem}.{ending}" for ending in ("png", "svg", "dot")]
    if charts := space.charts(genotype):
        write_sizes(charts, stem, caption=space.name)
        drawn += [f"{stem}_sizes.{ending}" for ending in ("png", "svg")]
    print(f"drew {', '.join(drawn)}")


def _beside(given: Path) -> Path:
    """Where the picture of a run directory, a file or a published name goes."""
    if given.is_dir():
        return given / "genotype"
    return given.with_suffix("") if given.is_file() else Path(given.name)


def main() -> int:
    """The command; returns its exit status."""
    return run("draw", draw, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
