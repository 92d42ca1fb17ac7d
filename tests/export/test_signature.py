"""A model's inputs and outputs, found whatever its form: names, dtypes, dynamic axes."""

from typing import Any

import keras
import numpy as np
import pytest

from export import saved_model
from export.cases import make_cases
from export.domains import Domain, input_domains
from export.ports import Port, identifiers, named_axes, unique_names, written_names
from export.trace import Traced, trace
from tests.export import user_cells

L = keras.layers


def traced(model: keras.Model, signature: Any = None) -> Traced:
    return trace(model, saved_model.lowering(), signature)


def ports(model: keras.Model, signature: Any = None) -> list[tuple[str, tuple[int | None, ...], str]]:
    return [(port.name, port.shape, port.dtype) for port in traced(model, signature).signature.inputs]


def test_functional_models_keep_their_names_and_axes() -> None:
    a, b = keras.Input((None, 3), name="a"), keras.Input((7,), dtype="int32", name="b")
    model = keras.Model([a, b], [L.LSTM(2, name="last")(a), L.Embedding(5, 2, name="looked_up")(b)])
    result = traced(model)
    assert ports(model) == [("a", (None, None, 3), "float32"), ("b", (None, 7), "int32")]
    assert [(port.name, port.shape) for port in result.outputs] == [("last", (None, 2)), ("looked_up", (None, 7, 2))]


def test_a_static_time_axis_stays_static() -> None:
    assert ports(keras.Sequential([keras.Input((6, 3), name="x"), L.GRU(2)])) == [("x", (None, 6, 3), "float32")]


def test_a_fixed_batch_becomes_dynamic() -> None:
    model = keras.Sequential([keras.Input(batch_shape=(4, None, 3), name="x"), L.GRU(2, stateful=True)])
    assert ports(model) == [("x", (None, None, 3), "float32")]


def test_a_sequential_that_was_only_called_is_dynamic_in_batch_and_time() -> None:
    model = keras.Sequential([L.LSTM(2, return_sequences=True), L.Dense(3)])
    model(np.zeros((2, 5, 4), "float32"))
    ((_, shape, dtype),) = ports(model)
    assert (shape, dtype) == ((None, None, 4), "float32")


def test_a_subclassed_model_that_was_called_is_dynamic_in_batch_and_time() -> None:
    model = user_cells.Chain([L.LSTM(2), L.Dense(3)])
    model(np.zeros((2, 5, 4), "float32"))
    assert ports(model) == [("inputs", (None, None, 4), "float32")]


def test_ids_of_a_model_that_was_only_called_are_integers_with_a_dynamic_length() -> None:
    model = user_cells.Chain([L.Embedding(9, 3, mask_zero=True), L.GRU(2)])
    model(np.zeros((2, 5), "int32"))
    assert ports(model) == [("inputs", (None, None), "int32")]


def test_a_vector_beside_a_sequence_keeps_its_width() -> None:
    model = user_cells.DictModel([L.LSTM(2)])
    model({"sequence": np.zeros((2, 5, 4), "float32"), "static": np.zeros((2, 3), "float32")})
    assert {name: shape for name, shape, _ in ports(model)} == {
        "sequence": (None, None, 4),
        "static": (None, 3),
    }
    assert {port.name for port in traced(model).outputs} == {"joint", "parts_summary", "parts_static"}


def test_a_signature_by_list_and_by_nested_dict() -> None:
    spec = keras.InputSpec(shape=(None, None, 4), dtype="float32")
    assert ports(user_cells.Chain([L.LSTM(2)]), [spec]) == [("inputs", (None, None, 4), "float32")]
    nested = [{"sequence": spec, "static": keras.InputSpec(shape=(None, 3), dtype="float32")}]
    names = {name for name, _, _ in ports(user_cells.DictModel([L.LSTM(2)]), nested)}
    assert names == {"sequence", "static"}


class TwoArguments(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = L.LSTM(2)

    def call(self, series: Any, scale: Any, training: bool = False) -> Any:
        return self.lstm(series) * scale


def test_a_signature_by_keyword() -> None:
    signature = {
        "series": keras.InputSpec(shape=(None, None, 4), dtype="float32"),
        "scale": keras.InputSpec(shape=(None, 1), dtype="float32"),
    }
    assert {name for name, _, _ in ports(TwoArguments(), signature)} == {"series", "scale"}
    assert [name for name, _, _ in ports(TwoArguments(), list(signature.values()))] == ["series", "scale"]


class OneList(keras.Model):
    """Takes two sequences as one argument."""

    def __init__(self) -> None:
        super().__init__()
        self.rnns = [L.GRU(2), L.LSTM(2)]

    def call(self, sequences: list[Any], training: bool | None = None) -> Any:
        return sum(rnn(x) for rnn, x in zip(self.rnns, sequences, strict=True))


@pytest.mark.parametrize("nested", [False, True])
def test_a_signature_of_one_argument_that_is_a_list(nested: bool) -> None:
    specs = [
        keras.InputSpec(shape=(None, None, size), dtype="float32", name=name) for name, size in (("a", 2), ("b", 3))
    ]
    wanted = [("a", (None, None, 2), "float32"), ("b", (None, None, 3), "float32")]
    assert ports(OneList(), [specs] if nested else specs) == wanted


def test_repeated_and_unspeakable_names() -> None:
    assert unique_names(["y", "y", "y_1", "y"]) == ["y", "y_2", "y_1", "y_3"]
    found = identifiers(["a b", "a-b", "1st", "_1st", "class", "self", "ü", "_", "", "X", "x"])
    assert len({name.lower() for name in found}) == 11  # TensorFlow's ops differ in more than case
    assert all(name.isidentifier() and name[0].isalpha() for name in found)


def test_a_name_that_is_an_identifier_stays_as_it_is_beside_one_that_becomes_the_same() -> None:
    assert identifiers(["a b", "a_b", "a_b_1"]) == ["a_b_2", "a_b", "a_b_1"]


def test_an_output_of_an_onnx_file_has_a_name_that_no_other_value_has() -> None:
    def written(inputs: list[str], outputs: list[str]) -> list[str]:
        shape: tuple[int | None, ...] = (None, 2)
        ports = [[Port(name, shape, "float32") for name in names] for names in (inputs, outputs)]
        return written_names("onnx", *ports)[1]

    assert written(["x"], ["x", "y"]) == ["x_out", "y"]
    assert written(["x"], ["x", "x_out"]) == ["x_out_1", "x_out"]
    assert written(["x", "x_out"], ["x", "x_out"]) == ["x_out_1", "x_out_out"]


def test_two_sequences_have_two_time_axes() -> None:
    first, second = Port("first", (None, None, 3), "float32"), Port("second", (None, None), "int32")
    axes, _ = named_axes([first, second], [])
    assert axes == [("batch", "first_time", 3), ("batch", "second_time")]
    assert named_axes([first], []) == ([("batch", "time", 3)], [])


@pytest.mark.parametrize("mask_zero", [False, True])
def test_the_vocabulary_and_the_padding_are_read_off_the_graph(mask_zero: bool) -> None:
    ids = keras.Input((None,), dtype="int32", name="ids")
    result = traced(keras.Model(ids, L.LSTM(2)(L.Embedding(13, 3, mask_zero=mask_zero)(ids))))
    assert input_domains(result.function, result.arguments) == {"ids": Domain(13, 0.0 if mask_zero else None)}


@pytest.mark.parametrize("value", [0.0, -1.5])
def test_the_masked_value_is_read_off_the_graph(value: float) -> None:
    model = keras.Sequential([keras.Input((None, 3), name="x"), L.Masking(value), L.GRU(2)])
    result = traced(model)
    assert input_domains(result.function, result.arguments) == {"x": Domain(None, value)}


def test_cases_hold_what_a_verifier_must_try() -> None:
    shapes = [
        Port("x", (None, None, 2), "float32"),
        Port("ids", (None, None), "int32"),
        Port("m", (None, None), "bool"),
    ]
    domains = {"x": Domain(None, -1.0), "ids": Domain(7, 0.0), "m": Domain()}
    cases = list(make_cases(shapes, domains, batch=(1, 2, 5), time=(1, 7, 33), seed=3))
    sizes = {case.inputs["x"].shape[:2] for case in cases}
    assert {(b, t) for b in (1, 2, 5) for t in (1, 7, 33)} <= sizes
    for case in cases:
        assert case.inputs["ids"].dtype == np.int32
        assert 0 <= case.inputs["ids"].min() <= case.inputs["ids"].max() < 7
    masks = np.concatenate([case.inputs["m"] for case in cases if case.inputs["m"].shape[1] == 33])
    assert masks.all(axis=1).any()
    assert (~masks).all(axis=1).any()
    assert (~masks[:, 0] & masks[:, -1]).any()
    assert (masks[:, 0] & ~masks[:, -1]).any()
    padded = [case.inputs["x"] for case in cases if (case.inputs["x"] == -1.0).all(-1).any()]
    assert padded
    everything = np.concatenate([case.inputs["ids"].ravel() for case in cases])
    assert {0, 6} <= set(everything.tolist())
    assert max(np.abs(case.inputs["x"]).max() for case in cases) > 20
    again = make_cases(shapes, domains, batch=(1, 2, 5), time=(1, 7, 33), seed=3)
    assert all(np.array_equal(a.inputs["x"], b.inputs["x"]) for a, b in zip(cases, again, strict=True))


@pytest.mark.parametrize(("batch", "cases"), [(1, 5), (2, 4), (5, 2)])
def test_a_fixed_batch_meets_every_kind_of_padding(batch: int, cases: int) -> None:
    """Short, empty, broken, half and left-padded rows, and full ones."""
    every = make_cases([Port("m", (batch, 7), "bool")], {"m": Domain()})
    padded = [case for case in every if "pad" in case.name or "rows" in case.name]
    assert len({case.name for case in padded}) == 2 * cases
    masks = np.concatenate([case.inputs["m"] for case in padded])
    assert (~masks).all(axis=1).any()
    assert (~masks[:, 0] & masks[:, -1]).any()
    assert (masks[:, 0] & ~masks[:, -1]).any()


def test_no_number_takes_the_name_of_another_output() -> None:
    """A layer `gru_1` keeps its name beside the two outputs of a layer `gru`."""
    assert unique_names(["gru", "gru", "gru_1", "gru"]) == ["gru", "gru_2", "gru_1", "gru_3"]
    assert unique_names(["y", "y", "x"]) == ["y", "y_1", "x"]
