"""The diagram of a model shows its graph: every layer, every connection, nothing on top of another."""

import itertools
import re
import xml.etree.ElementTree as ET

import keras
import numpy as np
import pytest

from recipes import report
from tests.recipes.pages import chain


def drawn(model: keras.Model) -> tuple[ET.Element, dict[str, tuple[float, float, float, float]], list[str]]:
    """The drawing, each box's place by its first line, the arrows as the label tells them."""
    figure = ET.fromstring(report.model_diagram(model))
    boxes = {}
    for group in figure.iter("g"):
        rect = group.find("rect")
        boxes[group.find("text").text] = tuple(float(rect.get(key)) for key in ("x", "y", "width", "height"))
    label = figure.find(".//svg").get("aria-label")
    return figure, boxes, label.split(": ", 1)[1].split("; ")


def test_a_chain_is_drawn_from_top_to_bottom() -> None:
    model = chain()
    figure, boxes, flows = drawn(model)
    assert list(boxes) == ["features", "encoder", "logits"]
    assert [y for _, y, _, _ in boxes.values()] == sorted(y for _, y, _, _ in boxes.values())
    assert flows == ["features feeds encoder", "encoder feeds logits"]
    texts = [text.text for text in figure.iter("text")]
    assert "Bidirectional(GRU)" in texts
    assert "(None, 6)" in texts
    assert f"{model.get_layer('encoder').count_params():,} parameters" in texts
    assert f"3 layers, {model.count_params():,} parameters." in figure.find("figcaption").text


def translator() -> keras.Model:
    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")
    encoded, h, c = keras.layers.LSTM(3, return_sequences=True, return_state=True, name="encoder")(
        keras.layers.Embedding(9, 4, name="embed_source")(source)
    )
    decoded = keras.layers.LSTM(3, return_sequences=True, name="decoder")(
        keras.layers.Embedding(9, 4, name="embed_target")(target), initial_state=[h, c]
    )
    context = keras.layers.Attention(name="attention")([decoded, encoded])
    joined = keras.layers.Concatenate(name="join")([decoded, context])
    pooled = keras.layers.GlobalAveragePooling1D(name="pool")(encoded)
    outputs = [keras.layers.Dense(9, name="logits")(joined), keras.layers.Dense(2, name="language")(pooled)]
    return keras.Model([source, target], outputs, name="translator")


def test_branches_inputs_and_outputs_are_all_connected() -> None:
    figure, boxes, flows = drawn(translator())
    assert set(flows) == {
        f"{a} feeds {b}"
        for a, b in [
            ("source", "embed_source"), ("target", "embed_target"), ("embed_source", "encoder"), ("encoder", "decoder"),
            ("embed_target", "decoder"), ("decoder", "attention"), ("encoder", "attention"), ("decoder", "join"),
            ("attention", "join"), ("join", "logits"), ("encoder", "pool"), ("pool", "language"),
        ]
    }  # fmt: skip
    assert_well_placed(figure, boxes, len(flows))
    kinds = {group.find("text").text: group.get("class") for group in figure.iter("g")}
    assert [name for name, kind in kinds.items() if kind == "box input"] == ["source", "target"]
    assert {name for name, kind in kinds.items() if kind == "box output"} == {"logits", "language"}


def assert_well_placed(figure: ET.Element, boxes: dict[str, tuple[float, float, float, float]], arrows: int) -> None:
    """No box covers another or leaves the canvas; every arrow starts under a box and ends on top of one."""
    for (x, y, w, h), (x2, y2, w2, h2) in itertools.combinations(boxes.values(), 2):
        assert x + w < x2 or x2 + w2 < x or y + h < y2 or y2 + h2 < y
    left, top, width, height = (float(value) for value in figure.find(".//svg").get("viewBox").split())
    for x, y, w, h in boxes.values():
        assert left <= x
        assert x + w <= left + width + 0.5
        assert top <= y
        assert y + h <= top + height + 0.5
    paths = [path.get("d") for path in figure.iter("path")]
    lines, heads = paths[::2], paths[1::2]
    assert len(lines) == len(heads) == arrows
    for line, head in zip(lines, heads, strict=True):
        (start_x, start_y), (end_x, end_y) = (
            (float(number) for number in re.match(r"M([-\d.]+) ([-\d.]+)", path).groups()) for path in (line, head)
        )
        assert any(x <= start_x <= x + w and abs(y + h - start_y) < 0.2 for x, y, w, h in boxes.values())
        assert any(x <= end_x <= x + w and abs(y - end_y) < 0.2 for x, y, w, h in boxes.values())
        assert start_y < end_y


@pytest.mark.parametrize("seed", range(6))
def test_any_graph_is_drawn_without_overlap(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tensors = [keras.Input((4,), name=f"input_{k}") for k in range(rng.integers(1, 4))]
    expected = set()
    for step in range(10):
        fed = rng.choice(len(tensors), size=rng.integers(1, min(3, len(tensors)) + 1), replace=False)
        layer = keras.layers.Add(name=f"n{step}") if len(fed) > 1 else keras.layers.Dense(4, name=f"n{step}")
        picked = [tensors[k] for k in fed]
        expected |= {f"{tensor._keras_history.operation.name} feeds n{step}" for tensor in picked}
        tensors.append(layer(picked if len(picked) > 1 else picked[0]))
    count = len(tensors) - 10
    model = keras.Model(tensors[:count], tensors[count:])
    figure, boxes, flows = drawn(model)
    assert set(flows) >= expected
    assert set(boxes) >= {f"n{step}" for step in range(10)}
    assert_well_placed(figure, boxes, len(expected))


def test_a_layer_called_twice_is_drawn_twice_and_counted_once() -> None:
    shared = keras.layers.RNN(
        keras.layers.StackedRNNCells([keras.layers.LSTMCell(3), keras.layers.GRUCell(4)]), name="both"
    )
    left, right = keras.Input((5, 3), name="left"), keras.Input((5, 3), name="right")
    model = keras.Model([left, right], keras.layers.Subtract(name="apart")([shared(left), shared(right)]))
    texts = [text.text for text in ET.fromstring(report.model_diagram(model)).iter("text")]
    assert texts.count("both") == 2
    assert texts.count("RNN(LSTMCell + GRUCell)") == 2
    assert texts.count(f"{shared.count_params():,} parameters") == 1
    assert texts.count("the same weights again") == 1
    assert texts.index("left") < texts.index("right")


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__(name="subclassed")
        self.reader = keras.layers.GRU(3, name="reader")

    def call(self, features: object) -> object:
        return self.reader(features)


def test_models_without_a_graph_are_drawn_too() -> None:
    model = Subclassed()
    assert "1 layer, not built yet." in report.model_diagram(model)
    model(np.zeros((1, 2, 2), "float32"))
    figure, boxes, _ = drawn(model)
    assert list(boxes) == ["reader"]
    assert figure.findall(".//path") == []
    assert "connections are not known" in figure.find("figcaption").text
    stacked = keras.Sequential(
        [keras.Input((4, 2), name="x"), keras.layers.GRU(3, name="a"), keras.layers.Dense(1, name="b")]
    )
    assert drawn(stacked)[2] == ["x feeds a", "a feeds b"]
    assert "0 layers, not built yet." in report.model_diagram(keras.Sequential(name="empty"))


def test_frozen_weights_and_long_names_are_told() -> None:
    inputs = keras.Input((4,), name="features")
    frozen = keras.layers.Dense(3, name="n" * 90, trainable=False)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, name="logits")(frozen))
    figure, boxes, _ = drawn(model)
    assert "23 parameters, 8 of them trainable." in figure.find("figcaption").text
    assert max(len(name) for name in boxes) < 40
