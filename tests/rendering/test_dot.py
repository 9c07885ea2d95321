"""The DOT source holds the whole graph and nothing else, and its layout is readable."""

import itertools
import json
import re
from collections import Counter

import pygraphviz
import pytest

from nas.architecture import Edge, Graph
from nas.rendering import dot, draw
from nas.rendering.fonts import use_matplotlib_fonts
from tests.rendering.genotypes import PUBLISHED, chain, published

NASTY = (
    "<b>bold</b>",
    'say "hi"',
    "back\\slash\\n",
    "a:b;c{}|[]",
    "&amp; & &lt;",
    "two\nlines",
    "\\N",
    "été 漢字 $x_1$",
    "-> --",
)


def arrows(source: str, number: int) -> Counter[tuple[str, str, str]]:
    """The (source, target, operation) of one graph, read back from the DOT source."""
    graph = pygraphviz.AGraph(string=source)
    keys = {str(node): unescaped(node.attr["label"]) for node in graph.nodes() if str(node).startswith(f"g{number}")}
    inner = [key for key in keys if "e" in key]
    found: Counter[tuple[str, str, str]] = Counter()
    for key in inner:
        (before,), (after,) = graph.in_edges(key), graph.out_edges(key)
        found[keys[str(before[0])], keys[str(after[1])], keys[key]] += 1
    for edge in graph.edges():
        if {str(edge[0]), str(edge[1])} <= keys.keys() - set(inner):
            found[keys[str(edge[0])], keys[str(edge[1])], ""] += 1
    graph.close()
    return found


def unescaped(label: str) -> str:
    return label.replace("\\\\", "\\").replace("&amp;", "&")


def laid_out(graphs: tuple[Graph, ...]) -> list[tuple[float, float, float, float]]:
    """Left, bottom, right and top of all boxes, in points."""
    use_matplotlib_fonts()
    graph = pygraphviz.AGraph(string=dot(graphs))
    objects = json.loads(graph.draw(format="json", prog="dot"))["objects"]
    graph.close()
    boxes = []
    for item in objects:
        if "pos" in item:
            x, y = map(float, item["pos"].split(","))
            width, height = 72 * float(item["width"]), 72 * float(item["height"])
            boxes.append((x - width / 2, y - height / 2, x + width / 2, y + height / 2))
    return boxes


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_edge_is_drawn_as_often_as_it_is_there(name):
    graphs = published(name)
    source = dot(graphs)
    for number, graph in enumerate(graphs):
        assert arrows(source, number) == Counter((e.source, e.target, e.operation) for e in graph.edges)


def test_repeated_edges_and_wires_are_all_drawn():
    edges = (Edge("x", "n", "relu"), Edge("x", "n", "relu"), Edge("n", "y"), Edge("n", "y"))
    graph = Graph("twice", ("x",), ("n", "alone"), "y", edges)
    assert arrows(dot([graph]), 0) == {("x", "n", "relu"): 2, ("n", "y", ""): 2}


@pytest.mark.parametrize("name", PUBLISHED)
def test_no_box_covers_another(name):
    boxes = laid_out(published(name))
    assert len(boxes) == sum(3 + len(g.nodes) + sum(bool(e.operation) for e in g.edges) for g in published(name))
    for a, b in itertools.combinations(boxes, 2):
        assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_picture_is_at_most_800_pixels_wide_with_readable_letters(name):
    png = draw(dot(published(name), caption=name), "png")
    assert int.from_bytes(png[16:20], "big") <= 800
    graph = pygraphviz.AGraph(string=dot(published(name)))
    points = min(float(size) for size in (graph.node_attr["fontsize"], graph.graph_attr["fontsize"]))
    assert points * float(graph.graph_attr["dpi"]) / 72 >= 11
    graph.close()


def test_cells_stand_one_under_the_other_in_their_order_and_inputs_in_one_column():
    graph = pygraphviz.AGraph(string=dot(published("DARTS_V2")))
    graph.layout("dot")
    places = {str(node): [float(value) for value in node.attr["pos"].split(",")] for node in graph.nodes()}
    graph.close()
    first, second = ([place for key, place in places.items() if key.startswith(cell)] for cell in ("g0", "g1"))
    assert min(y for _, y in first) > max(y for _, y in second)
    assert places["g0n0"][0] == places["g0n1"][0] == min(x for x, _ in first)


def test_a_long_chain_runs_downwards():
    assert "rankdir=LR" in dot([chain(3)])
    assert "rankdir=TB" in dot([chain(12)])


def test_the_same_graphs_give_the_same_bytes():
    source = dot(published("NASNet"), caption="epoch 3")
    assert source == dot(published("NASNet"), caption="epoch 3")
    assert draw(source, "svg") == draw(source, "svg")
    assert draw(source, "png") == draw(source, "png")


@pytest.mark.parametrize("text", NASTY)
def test_names_are_drawn_literally(text):
    graph = Graph(text, (text,), ("n",), "y", (Edge(text, "n", text + "!"), Edge("n", "y")))
    source = dot([graph], caption=text)
    assert arrows(source, 0) == {(text, "n", text + "!"): 1, ("n", "y", ""): 1}
    svg = draw(source, "svg").decode()
    texts = "\n".join(re.findall(r"<text[^>]*>(.*?)</text>", svg)).replace("&#160;", " ")
    texts = texts.replace("&quot;", '"').replace("&#45;", "-").replace("&lt;", "<").replace("&gt;", ">")
    assert texts.replace("&amp;", "&").count(text) == 4  # caption, title, node, operation


def test_characters_that_no_renderer_takes_are_replaced():
    graph = Graph("a\0b", ("x\x01",), (), "\ud800", (Edge("x\x01", "\ud800", "t\tab"),))
    assert "<text" in draw(dot([graph]), "svg").decode()
    assert arrows(dot([graph]), 0) == {("x\ufffd", "\ufffd", "t ab"): 1}


def test_graphs_that_contradict_themselves_are_refused():
    with pytest.raises(ValueError, match="at least one graph"):
        dot([])
    with pytest.raises(ValueError, match=r"no node 'z'; it has \('x', 'y'\)"):
        dot([Graph("cell", ("x",), (), "y", (Edge("x", "z"),))])
    with pytest.raises(ValueError, match=r"names \['x'\] twice"):
        dot([Graph("cell", ("x",), ("x",), "y", ())])
