import json
import math
import os

import pytest

from nas.tracking import append_line, read_lines, remove_unfinished, write_atomically


def test_what_a_killed_process_left_of_a_file_is_removed(tmp_path, monkeypatch):
    write_atomically(tmp_path / "a.txt", "whole")
    (tmp_path / ".hidden").write_text("of somebody else")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *_: os._exit(1))
        if (child := os.fork()) == 0:
            write_atomically(tmp_path / "a.txt", "new")
    os.waitpid(child, 0)
    assert len(os.listdir(tmp_path)) == 3
    remove_unfinished(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".hidden", "a.txt"]
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_text_and_bytes_replace_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_atomically(path, "old")
    write_atomically(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    write_atomically(str(path), "µ ± 1")
    assert path.read_bytes() == "µ ± 1".encode()
    assert os.listdir(tmp_path) == ["a.txt"]


def test_permissions_follow_the_umask(tmp_path):
    (tmp_path / "plain").write_text("")
    write_atomically(tmp_path / "atomic", "")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call):
    path = tmp_path / "a.txt"
    write_atomically(path, "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_name_appears_only_when_the_bytes_are_on_disk(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (order.append("fsync"), fsync(descriptor)))
    monkeypatch.setattr(os, "replace", lambda *paths: (order.append("replace"), replace(*paths)))
    write_atomically(tmp_path / "a.txt", "x")
    assert order == ["fsync", "replace"]


def test_lines_come_back_in_order_with_null_for_what_json_lacks(tmp_path):
    path = tmp_path / "search.jsonl"
    append_line(path, {"epoch": 0, "loss": 0.1, "alphas": {"a": [1.5, float("nan")]}, "pair": (1, -math.inf)})
    append_line(path, {"epoch": 1, "loss": math.inf})
    assert read_lines(path) == [
        {"epoch": 0, "loss": 0.1, "alphas": {"a": [1.5, None]}, "pair": [1, None]},
        {"epoch": 1, "loss": None},
    ]
    for line in path.read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_a_line_can_be_read_as_soon_as_it_is_appended(tmp_path):
    for epoch in range(3):
        append_line(tmp_path / "a.jsonl", {"epoch": epoch})
        assert read_lines(tmp_path / "a.jsonl")[-1] == {"epoch": epoch}


@pytest.mark.parametrize("left", ['{"epoch": 1, "lo', "{", ""])
def test_what_a_kill_left_of_a_line_is_not_read_and_cut_off_by_the_next(tmp_path, left):
    path = tmp_path / "a.jsonl"
    path.write_text('{"epoch": 0}\n' + left)
    assert read_lines(path) == [{"epoch": 0}]
    append_line(path, {"epoch": 1})
    assert path.read_text() == '{"epoch": 0}\n{"epoch": 1}\n'


def test_an_unfinished_first_line_is_cut_off(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"epoch"')
    append_line(tmp_path / "a.jsonl", {"epoch": 0})
    assert read_lines(tmp_path / "a.jsonl") == [{"epoch": 0}]


def test_data_that_is_no_json_writes_nothing(tmp_path):
    path = tmp_path / "a.jsonl"
    append_line(path, {"epoch": 0})
    with pytest.raises(TypeError, match="not JSON serializable"):
        append_line(path, {"epoch": object()})
    assert path.read_text() == '{"epoch": 0}\n'


@pytest.mark.parametrize(("line", "words"), [("{oops}", "line 2 is not JSON"), ("[1]", "line holds one JSON object")])
def test_a_line_in_the_middle_that_is_no_object_is_named(tmp_path, line, words):
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"epoch": 0}}\n{line}\n{{"epoch": 2}}\n')
    with pytest.raises(ValueError, match=words) as error:
        read_lines(path)
    assert str(path) in str(error.value)


def test_no_write_follows_a_link(tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text('{"a": 1}\nunfinished')
    run = tmp_path / "run"
    run.mkdir()
    for name in ("search.jsonl", "genotype.json", f".genotype.json.{os.getpid()}.tmp"):
        (run / name).symlink_to(outside)
    with pytest.raises(OSError, match="symbolic link"):
        append_line(run / "search.jsonl", {"epoch": 0})
    write_atomically(run / "genotype.json", "new")
    assert (run / "genotype.json").read_text() == "new"
    assert not (run / "genotype.json").is_symlink()
    assert outside.read_text() == '{"a": 1}\nunfinished'
