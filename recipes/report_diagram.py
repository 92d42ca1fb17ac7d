"""A Keras model as a drawing: a box for each call of a layer, arrows where tensors flow, inputs on top."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    import keras

_LINE, _PADDING, _ROW_GAP, _COLUMN_GAP = 17, 10, 34, 28
_CHARACTER = 7.0  # mean width of a character at 13 px, in pixels; boxes are sized before any font is known
_LONGEST = 38
_SWEEPS = 8
_SMALLEST = 0.75  # how far a narrow screen may shrink the drawing before it scrolls
# Where a layer keeps what it wraps; every other wrapper of Keras calls it `layer`.
_INNER = {"Bidirectional": "forward_layer", "RNN": "cell"}


@dataclass(eq=False)
class _Box:
    """A layer's call, or, without lines of text, a bend where a long arrow crosses a row."""

    lines: list[str] = field(default_factory=list)
    kind: str = "layer"
    parents: list[_Box] = field(default_factory=list)
    children: list[_Box] = field(default_factory=list)
    x: float = 0.0  # centre
    y: float = 0.0  # top

    @property
    def width(self) -> float:
        return max((len(line) for line in self.lines), default=0) * _CHARACTER + 2 * _PADDING if self.lines else 8.0

    @property
    def height(self) -> float:
        return len(self.lines) * _LINE + 2 * _PADDING if self.lines else 0.0


def model_diagram(model: keras.Model) -> Markup:
    """Draws the model's graph: each layer's name, class, output shape and parameter count, and what feeds it.

    A layer that is called twice is drawn twice. A wrapper names what it wraps. A subclassed model has no graph to
    read: its layers are drawn in the order of their creation, without arrows.

    Args:
        model: Any Keras model; functional and sequential ones show their connections.

    Returns:
        A `<figure>` with the drawing and a line that counts layers and parameters.
    """
    rows, known = _rows(model)
    boxes = [box for row in rows for box in row]
    flows = [f"{box.lines[0]} feeds {child.lines[0]}" for box in boxes for child in box.children]
    words = "; ".join(flows or [box.lines[0] for box in boxes])
    rows = _with_bends(rows)
    _order(rows)
    _place(rows)
    boxes = [box for row in rows for box in row]
    left = min(box.x - box.width / 2 for box in boxes) - 2
    right = max(box.x + box.width / 2 for box in boxes) + 2
    bottom = max(box.y + box.height for box in boxes) + 2
    drawing = Markup(
        '<svg class="diagram" role="img" aria-label="Model {}: {}" viewBox="{:.0f} -2 {:.0f} {:.0f}" '
        'style="width:{:.0f}px;min-width:{:.0f}px">{}{}</svg>'
    ).format(
        model.name, words, left, right - left, bottom + 2, right - left, _SMALLEST * (right - left),
        Markup("").join(arrow for box in boxes if box.lines for arrow in _arrows(box)),
        Markup("").join(_drawn(box) for box in boxes if box.lines),
    )  # fmt: skip
    return Markup(
        '<figure class="model"><div class="scroll" role="region" aria-label="Model diagram" tabindex="0">{}</div>'
        "<figcaption>{}</figcaption></figure>"
    ).format(drawing, _count(model) + ("" if known else " A subclassed model: its connections are not known."))


def _count(model: keras.Model) -> str:
    layers = "1 layer" if len(model.layers) == 1 else f"{len(model.layers)} layers"
    if not model.built:
        return f"{layers}, not built yet."
    total = model.count_params()
    trainable = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    frozen = "" if trainable == total else f", {trainable:,} of them trainable"
    return f"{layers}, {total:,} parameters{frozen}."


# The graph


def _rows(model: keras.Model) -> tuple[list[list[_Box]], bool]:
    """The model's boxes, a row for each distance from the outputs, inputs first; and whether the arrows are known."""
    # A Sequential keeps its graph in a functional model inside, once it is built.
    graph = getattr(model, "_functional", None) or model
    if not hasattr(graph, "_nodes_by_depth"):
        layers = model.layers or [model]
        return [[_Box(_lines(layer, [], first_call=True))] for layer in layers], False
    outputs = {id(tensor) for tensor in graph.outputs}
    place = {id(tensor): index for index, tensor in enumerate(graph.inputs)}
    depths = sorted((depth for depth, nodes in graph._nodes_by_depth.items() if nodes), reverse=True)
    boxes: dict[int, _Box] = {}
    drawn: set[int] = set()
    rows = []
    for depth in depths:
        # Keras keeps the inputs of one depth in any order; the drawing keeps the model's own.
        nodes = sorted(graph._nodes_by_depth[depth], key=lambda node: place.get(id(node.output_tensors[0]), 0))
        for node in nodes:
            layer = node.operation
            shapes = [tensor.shape for tensor in node.output_tensors]
            is_output = any(id(tensor) in outputs for tensor in node.output_tensors)
            kind = "input" if node.is_input else "output" if is_output else "layer"
            boxes[id(node)] = _Box(_lines(layer, shapes, first_call=id(layer) not in drawn), kind)
            drawn.add(id(layer))
            for parent in dict.fromkeys(node.parent_nodes):
                boxes[id(parent)].children.append(boxes[id(node)])
                boxes[id(node)].parents.append(boxes[id(parent)])
        rows.append([boxes[id(node)] for node in nodes])
    return rows, True


def _lines(layer: Any, shapes: Sequence[tuple[int | None, ...]], *, first_call: bool) -> list[str]:
    """What a box says: name, class, the shape of each output, the parameters."""
    lines = [layer.name, _class(layer), *(str(tuple(shape)) for shape in shapes)]
    if not first_call:
        lines.append("the same weights again")
    elif getattr(layer, "built", False) and hasattr(layer, "count_params") and layer.count_params():
        lines.append(f"{layer.count_params():,} parameters")
    return [line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…" for line in lines]


def _class(layer: Any) -> str:
    """The layer's class, and the classes of what it wraps."""
    name = type(layer).__name__
    if hasattr(layer, "cells"):
        return " + ".join(_class(cell) for cell in layer.cells)
    inner = getattr(layer, _INNER.get(name, "layer"), None)
    return name if inner is None else f"{name}({_class(inner)})"


# The layout: rows with bends, an order with few crossings, then places (Sugiyama, Tagawa & Toda 1981,
# doi:10.1109/TSMC.1981.4308636)


def _with_bends(rows: list[list[_Box]]) -> list[list[_Box]]:
    """Cuts every arrow that passes a row, so that the row leaves it room."""
    level = {id(box): index for index, row in enumerate(rows) for box in row}
    rows = [list(row) for row in rows]
    for index, row in enumerate(rows):
        for box in row:
            for slot, child in enumerate(box.children):
                if level[id(child)] > index + 1:
                    bend = _Box(parents=[box], children=[child])
                    level[id(bend)] = index + 1
                    # A row that comes later in this same loop: its bends are cut again until they reach the child.
                    rows[index + 1].append(bend)
                    box.children[slot] = bend
                    child.parents[child.parents.index(box)] = bend
    return rows


def _order(rows: list[list[_Box]]) -> None:
    """Sorts each row by the mean position of its neighbours, down and up in turn."""
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for above, row in itertools.pairwise(rows if down else rows[::-1]):
            position = {id(box): index for index, box in enumerate(above)}
            means = {}
            for index, box in enumerate(row):
                places = [position[id(other)] for other in (box.parents if down else box.children)]
                means[id(box)] = sum(places) / len(places) if places else index
            row.sort(key=lambda box: means[id(box)])


def _place(rows: list[list[_Box]]) -> None:
    """Gives each box its place: under the middle of its neighbours, as far as the row has room."""
    top = 0.0
    for row in rows:
        height = max(box.height for box in row)
        for box in row:
            box.y = top
        top += height + _ROW_GAP
        _spread(row, [0.0] * len(row))
    for sweep in range(_SWEEPS):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wanted = []
            for box in row:
                near = [other.x for other in box.parents + box.children]
                wanted.append(sum(near) / len(near) if near else box.x)
            _spread(row, wanted)


def _spread(row: list[_Box], wanted: list[float]) -> None:
    """Centres near the wanted ones, none overlapping: pushed to the right, then all moved back by the mean push."""
    edge = -math.inf
    for box, centre in zip(row, wanted, strict=True):
        box.x = max(centre, edge + box.width / 2)
        edge = box.x + box.width / 2 + _COLUMN_GAP
    push = sum(box.x - centre for box, centre in zip(row, wanted, strict=True)) / len(row)
    for box in row:
        box.x -= push


# The drawing


def _arrows(box: _Box) -> Iterator[Markup]:
    """The box's outgoing arrows, each through its bends to the box that it feeds."""
    for child in box.children:
        came_from, at = box, child
        path = f"M{box.x:.1f} {box.y + box.height:.1f}"
        x, y = box.x, box.y + box.height
        while True:
            arrives = sorted(at.parents, key=lambda parent: parent.x)
            shift = (arrives.index(came_from) - (len(arrives) - 1) / 2) * min(24.0, at.width / (len(arrives) + 1))
            end_x, end_y = at.x + shift, at.y - (5 if at.lines else 0)
            half = (y + end_y) / 2
            path += f"C{x:.1f} {half:.1f} {end_x:.1f} {half:.1f} {end_x:.1f} {end_y:.1f}"
            x, y = end_x, end_y
            if at.lines:
                break
            came_from, at = at, at.children[0]
        yield Markup('<path class="arrow" d="{}"/><path class="head" d="M{:.1f} {:.1f}l-4.5 -7h9z"/>').format(
            path, x, y + 5
        )


def _drawn(box: _Box) -> Markup:
    """The box with its lines of text, the first one strong."""
    texts = Markup("").join(
        Markup('<text x="{:.1f}" y="{:.1f}" class="{}">{}</text>').format(
            box.x, box.y + _PADDING + _LINE * (index + 0.74), "name" if index == 0 else "detail", line
        )
        for index, line in enumerate(box.lines)
    )
    return Markup('<g class="box {}"><rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="7"/>{}</g>').format(
        box.kind, box.x - box.width / 2, box.y, box.width, box.height, texts
    )
