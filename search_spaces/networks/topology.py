"""How the layers of a network with its choices made are connected."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from nas.architecture import Candidate, Edge, Graph
from nas.channels import Channels, Layer
from nas.supernet import FLOAT_BITS
from search_spaces.networks.places import Places, SizedLayer, choice_name

Decisions = Mapping[str, Candidate]
SIGNS = {"add": "+", "sub": "−", "mul": "×", "div": "÷", "cat": "concatenation"}
"""What a picture says where ways meet, if not the name of the operation."""
IMAGE, LOGITS = "image", "logits"


def topology(title: str, channels: Channels, places: Places, decisions: Decisions) -> Graph:
    """All layers of a network, searched or fixed, and the operations where their ways meet.

    A layer that is called several times is drawn as often. The layers of an operator that was chosen are one node.
    """
    place_of = {sized.layer.path: sized.place for sized in places.layers}
    says = dict(_labels(channels, places, decisions))
    calls: Counter[str] = Counter()
    labels, operations = {IMAGE: IMAGE}, dict[str, str]()
    edges: dict[tuple[str, str], None] = {}
    found = [IMAGE]
    for number, step in enumerate(channels.steps[1:], 1):
        sources = dict.fromkeys(found[index] for index in step.inputs)
        if step.layer is not None:
            path = channels.layers[step.layer].path
            place = place_of.get(path, "")
            calls[path] += 1
            name = f"{place}, call {calls[path]}" if path else f"layer {step.layer}"
            first = says.get(place, f"{channels.layers[step.layer].kind}\nfixed")
            labels[name] = first if calls[path] == 1 or not path else f"{first}\ncall {calls[path]}"
            if operator := decisions.get(choice_name(place, "op")):
                operations[name] = str(operator)
        elif len(sources) > 1:
            name = f"step {number}"
            labels[name] = SIGNS.get(step.operation, step.operation)
        else:
            found.append(next(iter(sources)))
            continue
        edges.update({(source, name): None for source in sources if source != name})
        found.append(name)
    edges.update({(found[index], LOGITS): None for index in channels.returned})
    used = {source for source, _ in edges}
    nodes = [name for name in labels if name != IMAGE and (name in used or not name.startswith("step "))]
    kept = {IMAGE, LOGITS, *nodes}
    return Graph(
        title,
        (IMAGE,),
        tuple(nodes),
        LOGITS,
        tuple(Edge(source, target) for source, target in edges if target in kept),
        labels,
        operations,
    )


def _labels(channels: Channels, places: Places, decisions: Decisions) -> Iterator[tuple[str, str]]:
    """Each place with what a picture says of it: its name, what was chosen there, and what was fixed."""
    at: dict[str, list[SizedLayer]] = {}
    for sized in places.layers:
        at.setdefault(sized.place, []).append(sized)
    for place, layers in at.items():
        chosen = [str(decisions[name])] if (name := choice_name(place, "op")) in decisions else []
        chosen += _widths(channels, places, decisions, place, [sized.layer for sized in layers])
        fixed = []
        for kind in ("weight_bits", "input_bits"):
            candidates, word = getattr(layers[0], kind), kind.removesuffix("_bits")
            if len(candidates) > 1:
                chosen.append(f"{decisions[choice_name(place, kind)]}-bit {word}")
            elif candidates != (FLOAT_BITS,):
                fixed.append(f"{candidates[0]}-bit {word}")
        words = [", ".join(chosen)] if chosen else []
        if fixed or not chosen:
            words.append("fixed" + (f": {', '.join(fixed)}" if fixed else ""))
        yield place, "\n".join([place.replace(".", "/"), *words])


def _widths(
    channels: Channels, places: Places, decisions: Decisions, place: str, layers: Sequence[Layer]
) -> Iterator[str]:
    """The chosen widths of the groups of channels that the layers at a place write."""
    dense = [layer for layer in layers if not layer.depthwise] or layers
    written = dict.fromkeys(index for layer in dense for index in channels.group_of[layer.writes].unique().tolist())
    for name in (channels.groups[index].name for index in written):
        if name in places.widths:
            decided = places.widths[name]
            here = decided == place or (decided.startswith(f"{place}.") and decided[len(place) + 1 :].isdigit())
            share = decisions[choice_name(decided, "width")]
            yield f"width {share}" + ("" if here else f" as {decided.replace('.', '/')}")
