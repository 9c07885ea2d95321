"""The runs that are killed: small, and of every kind."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image


@dataclass(frozen=True)
class Case:
    """A command and its words, without a directory; `share` is how often it comes in a round of killed runs."""

    name: str
    command: str
    words: tuple[str, ...]
    share: int = 3


SMALL = ("debug=smoke", "trainer.epochs=4", "trainer.max_steps=4", "device=cpu")
EVERY_STEP = ("trainer.checkpoint_steps=1",)
EVERY_THIRD = ("trainer.checkpoint_steps=3",)
CELL = ("network.cells=1", "space.num_nodes=2")
RESNET = ("space.backbone_arguments={depth:8,channels:4}",)


def cases(root: Path) -> Sequence[Case]:
    """Every case; `root` gets the photographs that one of them reads."""
    photographs = (
        "data=image_folder",
        f"data.root={image_folder(root / 'photographs')}",
        "data.size=16",
        "data.workers=2",
    )
    shared = ("trainer.devices=2", "trainer.sync_batch_norm=true")
    return (
        _search("darts, first order", "darts", *CELL, *EVERY_STEP),
        _search("darts, second order", "darts", "method=second_order", *CELL, *EVERY_THIRD),
        _search("random relaxation", "darts", "method=score_function", *CELL, *EVERY_STEP),
        _search("pc_darts", "pc_darts", *CELL, *EVERY_THIRD),
        _search("bit_width, budget", "bit_width", "budget.bops=0.5x", *RESNET, *EVERY_STEP),
        _search("random search", "pc_darts", "method=random", *CELL, *EVERY_STEP),
        Case("retraining", "retrain", ("genotype=PC_DARTS_cifar", *SMALL, "network.cells=1", *EVERY_THIRD)),
        replace(_search("image folder, 2 workers", "pc_darts", *photographs, *CELL, *EVERY_THIRD), share=2),
        replace(_search("2 ranks", "pc_darts", *shared, *CELL, *EVERY_STEP), share=1),  # two interpreters start anew
    )


def _search(name: str, space: str, *words: str) -> Case:
    return Case(name, "search", (f"+space={space}", *SMALL, *words))


def image_folder(root: Path) -> Path:
    """80 + 40 pictures of two classes below `root`, made where they are not there yet."""
    for part, count in (("train", 80), ("val", 20)):
        for label, green in (("cat", 200), ("dog", 20)):
            (root / part / label).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                if not (path := root / part / label / f"{number}.png").exists():
                    Image.new("RGB", (20, 24), (number * 3 % 256, green, number % 7 * 30)).save(path)
    return root
