"""What the pages say is so: commands compose, links lead somewhere, code runs, keys exist."""

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from nas.cli.arguments import normalized
from nas.cli.mistakes import checked, find_mistakes
from tests.cli.commands import CONF, call
from tests.cli.test_configs import PUBLIC
from tests.marks import slow

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "experiments").rglob("*.md"))]
COMMAND = re.compile(r"python -m nas\.(\w+)([^`\n&;]*)")
SHELL = re.compile(r"\$\([^)]*\)|\$\w+|…")
"""What a shell or a reader puts in: substitutions, variables, an ellipsis."""
VALUE_FLAGS = ("--cfg", "-c", "--config-dir", "-cd", "--out", "--cost")


def commands() -> Iterator[tuple[str, str, str]]:
    """(page, command, words) of every command line in the pages."""
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ") if page.exists() else ""
        for module, words in COMMAND.findall(text):
            yield str(page.relative_to(ROOT)), module, " ".join(SHELL.sub("a", words.replace(" …", "")).split())


PAGE_OF = {(module, words): page for page, module, words in sorted(set(commands()), reverse=True)}
COMMANDS = [(page, module, words) for (module, words), page in reversed(PAGE_OF.items())]
"""Each command line once, on the first page that has it."""


def blocks(page: Path, language: str) -> list[str]:
    """The fenced code of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The FOLDER of docs/extending.md: a config for each part of `my_package`, which is the page's code."""
    page = ROOT / "docs" / "extending.md"
    (tmp_path / "my_package.py").write_text("\n".join(blocks(page, "python")))
    for group in ("space", "budget"):
        (tmp_path / group).mkdir()
    (tmp_path / "space" / "my_space.yaml").write_text("_target_: my_package.my_space\n")
    for block in blocks(page, "yaml"):
        name = block.splitlines()[0].removeprefix("# ")
        (tmp_path / name).write_text(block)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_pages_are_there_and_hold_commands() -> None:
    assert README.exists()
    of_readme = {module for page, module, _ in COMMANDS if page == "README.md"}
    assert of_readme == {"search", "retrain", "cost", "draw", "report", "export"}
    assert len(COMMANDS) > 15


@pytest.mark.parametrize(("page", "module", "words"), COMMANDS)
def test_a_command_composes_and_is_valid(
    page: str, module: str, words: str, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [word.replace("FOLDER", str(own)) for word in shlex.split(words)]
    if module == "report":
        assert call("report", *(given or ["runs"]), cwd=own).status in (0, 1), "2 is a word that it does not know"
        return
    composed = []  # what the look for mistakes composes, which leaves it to Hydra to say what it cannot compose

    def remembered(*given: Any, **more: Any) -> Any:
        composed.append(compose(*given, **more))
        return composed[-1]

    monkeypatch.setattr("nas.cli.mistakes.compose", remembered)
    assert find_mistakes(module, given) == []
    for one in [] if composed else expanded(plain(given)):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose(module, overrides=[*normalized(one), f"hydra.searchpath=[file://{own}]"])
            if "--help" not in given:
                checked(module, OmegaConf.to_container(config, resolve=True))


def plain(words: list[str]) -> list[str]:
    """The words that are overrides, without flags and their values."""
    flagged = {position + 1 for position, word in enumerate(words) if word in VALUE_FLAGS}
    return [word for position, word in enumerate(words) if position not in flagged and not word.startswith("-")]


def expanded(words: list[str]) -> Iterator[list[str]]:
    """One command line for each combination of a sweep's values; seeds need no more than one."""
    lists = []
    for word in words:
        key, _, value = word.partition("=")
        values = value.split(",")[: 1 if key == "seed" else None] if "[" not in value else [value]
        lists.append([f"{key}={one}" for one in values] if "=" in word else [word])
    yield from (list(combination) for combination in itertools.product(*lists))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        place, _, heading = target.partition("#")
        path = page.parent / place if place else page
        assert path.exists(), f"{page.name} links to {target}"
        if heading:
            found = [re.sub(r"[^\w -]", "", line.lstrip("# ")).replace(" ", "-").lower() for line in headings(path)]
            assert heading in found, f"{page.name} links to {target}"


def headings(page: Path) -> list[str]:
    """The headings of a page."""
    return [line for line in page.read_text().splitlines() if line.startswith("#")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_nothing_is_left_to_fill_in(page: Path) -> None:
    for line in page.read_text().splitlines():
        assert not re.fullmatch(r"[A-Z]{3,}[A-Z_]*|.*\b(TODO|FIXME|XXX|TBD)\b.*", line), f"{page.name}: {line}"


@pytest.mark.parametrize("page", [README, ROOT / "docs" / "extending.md"], ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Block after block in one namespace, as a reader would type it."""
    namespace: dict[str, Any] = {"__name__": page.stem}
    assert blocks(page, "python")
    for number, block in enumerate(blocks(page, "python")):
        exec(compile(block, f"{page.name}, block {number}", "exec"), namespace)
    if page == README:
        assert set(namespace["record"].genotype.decisions) == {"stem/op", "act/op"}
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == ["0", "1", "2"]
        images = namespace["images"]
        assert namespace["network"](images).shape == (len(images), 2)


SMOKE = ("debug=smoke", "trainer.epochs=1")
"""Without the keys of cells, for which not every space has a use."""
DRAWN = ("method=score_function", "method.relaxation._target_=my_package.OneHot", "~method.relaxation.draws")


@pytest.mark.parametrize(
    ("space", "further"),
    [
        ("my_space", ()),
        *slow(
            ("darts_1x1", ()),
            ("mine", ("budget=hinge", "budget.macs=0.5x", "budget.loss.weight=4")),
            ("powers", DRAWN),
        ),
    ],
)
def test_the_parts_of_the_page_on_extending_are_searched(space: str, further: tuple[str, ...], own: Path) -> None:
    words = ("--config-dir", str(own), f"+space={space}", *further, *SMOKE, "hydra.run.dir=run")
    outcome = call("search", *words, cwd=own)
    assert outcome.status == 0, outcome.err
    assert f'"space": "{space}"' in (own / "run" / "genotype.json").read_text()
    for command in ("retrain", "draw", "cost"):
        more = {"retrain": [*SMOKE], "cost": ["input_shape=[1,8,8]"]}.get(command, [])
        following = call(command, "--config-dir", str(own), "genotype=run", *more, cwd=own)
        assert following.status == 0, following.err


def table_of_keys() -> dict[str, dict[str, str]]:
    """key -> command -> what the README's table says of its default."""
    section = README.read_text().split("\n## Keys\n", 1)[1].split("\n## ", 1)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    head = rows[0]
    return {row[0].strip("`"): dict(zip(head, row, strict=True)) for row in rows[2:]}


def test_the_table_of_keys_is_complete() -> None:
    table = table_of_keys()
    assert {key.removesuffix("=smoke") for key in table} == {key for keys in PUBLIC.values() for key in keys}
    for command in ("search", "retrain", "cost", "export"):
        shown = {key for key, row in table.items() if row[command] and key != "debug=smoke"}
        assert shown == PUBLIC[command].keys() - {"debug"}, command


def test_the_table_of_keys_has_the_defaults() -> None:
    for command in ("search", "retrain", "cost"):
        given = "space=darts" if command == "search" else "genotype=DARTS_V2"
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose(command, overrides=[given], return_hydra_config=True)
        for key in PUBLIC[command].keys() - {"debug", "hydra.run.dir", "data", "data.root", "method", "budget"}:
            said, value = table_of_keys()[key][command], OmegaConf.select(config, key)
            if value is None and key.startswith("budget."):
                assert said == "none", key
            elif value is None:
                assert said.startswith(("that of the data", "10, with the ImageNet stem 1000")), key
            else:
                assert said.rsplit("else ", 1)[-1] == str(value).lower(), key
        if command != "cost":
            runs = OmegaConf.to_container(config, resolve=False)["hydra"]["run"]["dir"]
            place = runs.replace("${hydra.job.name}", command).partition("${")[0]
            assert table_of_keys()["hydra.run.dir"][command] == f"`{place}TIME`"


@pytest.mark.parametrize("key", ["method", "budget", "data", "format"])
def test_the_table_of_keys_has_all_options(key: str) -> None:
    named = set(re.findall(r"`(\w+)`", table_of_keys()[key]["what"]))
    assert named == {path.stem for path in (CONF / key).glob("*.yaml")}


def test_keys_in_running_text_exist() -> None:
    """Every `trainer.x`, `network.x`, `space.x` in backticks that is no file of a run."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        configs = [
            *(compose("search", overrides=[f"space={space}"]) for space in ("darts", "channel_width")),
            compose("retrain", overrides=["genotype=DARTS_V2"]),
        ]
    for page in PAGES:
        for key in re.findall(r"`((?:trainer|network|space|data)\.[\w.]+)[=`]", page.read_text()):
            if "_target_" not in key and key not in ("network.onnx", "network.pt2"):
                assert any(present(config, key) for config in configs), f"{page.name}: {key}"


def present(config: Any, key: str) -> bool:
    """Whether a config has the key, maybe with the value null."""
    parent, _, last = key.rpartition(".")
    node = OmegaConf.select(config, parent)
    return node is not None and last in node


def test_the_test_command_is_that_of_ci() -> None:
    (told,) = re.findall(r"^    (python3 -m venv .*pytest)$", README.read_text(), re.MULTILINE)
    install = re.search(r"pip install [^&]*", told)
    assert install is not None
    assert install[0].strip() in (ROOT / ".ci" / "run").read_text()
    assert (ROOT / "constraints.txt").is_file()
