"""The house stands as docs/layout.md draws it: imports point down, and nothing in it runs a stranger's code."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMANDS = ("nas.search", "nas.retrain", "nas.draw", "nas.cost", "nas.report", "nas.export")
FLOORS: dict[str, int] = {
    "nas.architecture": 0,
    "nas.channels": 0,
    "nas.parallel": 0,
    "nas.reading": 0,
    "nas.relaxation": 1,
    "nas.supernet": 1,
    "nas.costs": 1,
    "nas.space": 2,
    "nas.optimization": 3,
    "nas.data": 3,
    "nas.tracking": 3,
    "nas.rendering": 3,
    "nas.exporting": 3,
    "search_spaces": 4,
    "search_spaces.operators": 4,
    "search_spaces.cells": 4,
    "search_spaces.networks": 4,
    "nas.cli": 5,
    **dict.fromkeys(COMMANDS, 5),
}
BESIDE = {
    # docs/layout.md: a direction, not a tangle
    ("nas.architecture", "nas.reading"),
    ("search_spaces.cells", "search_spaces.operators"),
    ("search_spaces.networks", "search_spaces.cells"),
    ("search_spaces.networks", "search_spaces.operators"),
    ("search_spaces.networks", "search_spaces"),
    # the file search_spaces/genotypes.py
    ("search_spaces", "search_spaces.cells"),
    *((command, "nas.cli") for command in COMMANDS),
}
"""Rooms of one floor that may import each other, in this direction only."""
OUTSIDE = {
    "hydra": ("nas.cli", *COMMANDS),
    "omegaconf": ("nas.cli", *COMMANDS),
    "pydantic": ("nas.cli",),
    "matplotlib": ("nas.rendering",),
    "graphviz": ("nas.rendering",),
    "pygraphviz": ("nas.rendering",),
    "tensorboard": ("nas.tracking",),
    "torchvision": ("nas.data",),
    "sklearn": ("nas.data",),
    "scipy": ("nas.costs",),
    "tqdm": ("nas.cli",),
    "onnx": ("nas.exporting",),
    "onnxruntime": ("nas.exporting",),
    "onnxscript": ("nas.exporting",),
    "torch.distributed": ("nas.parallel",),
}
"""The only rooms that import these packages."""
FILES = sorted([*(ROOT / "nas").rglob("*.py"), *(ROOT / "search_spaces").rglob("*.py")])
TREES = {path: ast.parse(path.read_text()) for path in FILES}


def module_of(path: Path) -> str:
    """The dotted name of a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str | None:
    """The most particular room that a module lies in."""
    rooms = [room for room in FLOORS if module == room or module.startswith(f"{room}.")]
    return max(rooms, key=len, default=None)


def imports(path: Path) -> Iterator[str]:
    """All that a file imports, also inside functions: `from a.b import c` gives a.b.c."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by dots: write the whole name"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def allowed(room: str, other: str) -> bool:
    """Whether a file of one room may import from another."""
    return room == other or FLOORS[other] < FLOORS[room] or (room, other) in BESIDE


def test_imports_point_down() -> None:
    for path in FILES:
        room = room_of(module_of(path))
        if room is None:
            assert path.read_text() == "", f"{path} lies on no floor"
        else:
            assert_it_imports_from_below(path, room)


def assert_it_imports_from_below(path: Path, room: str) -> None:
    """Nothing from a higher floor, and nothing that is on none."""
    for name in imports(path):
        if name.partition(".")[0] in ("nas", "search_spaces"):
            other = room_of(name)
            if other is None:
                assert name == "nas.conf" or path.name == "arguments.py", f"{path} imports {name}, which is on no floor"
                continue
            assert allowed(room, other), f"{path} (floor {FLOORS[room]}) imports {name} (floor {FLOORS[other]})"
        assert not name.startswith(("tests", "experiments")), f"{path} imports {name}"


def test_a_command_loads_matplotlib_only_to_draw() -> None:
    """So that its help, its errors and the further processes of a search do not wait for it."""
    drawing = ("nas.rendering", "nas.cli.drawing", "nas.cli.search_log")
    for path, tree in TREES.items():
        if not module_of(path).startswith(drawing):
            for statement in tree.body:
                name = statement.module if isinstance(statement, ast.ImportFrom) else None
                assert not (name or "").startswith(drawing), f"{path} imports {name} at its top"


def test_packages_are_imported_in_their_rooms_alone() -> None:
    for path, name in [(file, name) for file in FILES for name in imports(file)]:
        top = name.partition(".")[0]
        inner = f"{top}.{name.split('.')[1]}" if "." in name else top
        for package in (top, inner):
            assert (
                package not in OUTSIDE or room_of(module_of(path)) in OUTSIDE[package] or writes_events(path, name)
            ), f"{path} imports {name}"


def writes_events(path: Path, name: str) -> bool:
    """The one import of TensorBoard's own format."""
    return path.name == "tensorboard.py" and "tensorboard" in name


def test_every_room_is_in_the_page_on_layout() -> None:
    page = (ROOT / "docs" / "layout.md").read_text()
    for room, floor in FLOORS.items():
        place = room.replace(".", "/") + (".py" if room in COMMANDS else "/")
        if room.startswith("search_spaces."):
            place = room.removeprefix("search_spaces.") + "/"
        lines = [line for line in page.splitlines() if line.startswith(f"| {floor} |") and f"`{place}`" in line]
        assert len(lines) == 1, place


def test_every_folder_is_a_room() -> None:
    for path in FILES:
        if path.name == "__init__.py" and path.parent.parent != ROOT:
            assert module_of(path) in FLOORS, path


def test_every_package_is_installed() -> None:
    """`packages` in setup.cfg is a list by hand."""
    named = (ROOT / "setup.cfg").read_text().split("packages =", 1)[1].split("package_dir", 1)[0].split()
    assert set(named) == {module_of(path) for path in FILES if path.name == "__init__.py"} | {"nas.conf"}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """(what is called, as text, and the call)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_nothing_runs_a_strangers_code_or_names_a_device() -> None:
    for path, called, call in [(file, *found) for file in FILES for found in calls(TREES[file])]:
        words = {word.arg: ast.unparse(word.value) for word in call.keywords}
        last = called.rsplit(".", 1)[-1]
        assert called not in ("eval", "exec", "compile", "__import__", "input", "os.system"), f"{path}: {called}"
        assert called not in ("builtins.eval", "builtins.exec"), f"{path}: {called}"
        assert not called.startswith(("pickle.", "dill.", "marshal.", "shelve.", "os.popen", "os.spawn")), (
            f"{path}: {called}"
        )
        assert "shell" not in words, path
        assert last != "cuda", f"{path}: {called}(): use .to(device)"
        if called == "torch.load":
            assert words.get("weights_only") == "True", path
        if called in ("np.load", "numpy.load"):
            assert words.get("allow_pickle", "False") == "False", path
        if called in ("yaml.load", "yaml.unsafe_load"):
            raise AssertionError(path)


def test_no_module_fixes_a_device_or_looks_for_attributes() -> None:
    for path, tree in TREES.items():
        for called, _ in calls(tree):
            assert called != "hasattr", f"{path}: put a method on the abstract class"
        for statement in tree.body:
            if isinstance(statement, ast.Assign | ast.AnnAssign):
                assert "torch.device(" not in ast.unparse(statement), path
