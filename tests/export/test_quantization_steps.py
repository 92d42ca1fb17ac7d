"""Step models in fewer bits: several signatures, states that the step really meets, drift over 1,000 steps."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import export
from export import stream_export, tflite
from export.formats import FORMATS
from export.quantization_tflite import TfliteQuantizer
from export.trace import trace
from tests.export.random_models import randomise

L = keras.layers
Arrays = dict[str, np.ndarray]


class Case:
    """A step as a LiteRT file in any precision, beside its float self."""

    def __init__(self, kind: str) -> None:
        x = keras.Input((None, 8), name="x")
        layer = getattr(L, kind)(32, return_sequences=True, name="recurrent")
        model = randomise(keras.Model(x, L.Dense(6, name="y")(layer(x))))
        step, fmt = export.to_streaming(model), FORMATS["tflite"]
        form = stream_export.stream_form(step, fmt, None)
        traced = stream_export.trace_step(step, stream_export.lowering(fmt), form)
        self._signatures = {"step": traced, "reset": stream_export._trace_reset(step, batch=1)}
        self._names = traced.arguments
        self.states = [spec.name for spec in step.plan.specs]
        self.start = {spec.name: spec.initial[np.newaxis] for spec in step.plan.specs}
        self.exact = self.runner(self.file(None))

    def file(self, quantizer: TfliteQuantizer | None) -> bytes:
        return tflite.convert_signatures(self._signatures, {}, quantizer)

    def feeds(self, count: int) -> tuple[Any, ...]:
        feeds = export.step_feeds(self.exact, stream(count, seed=1), self.start)
        return tuple(("step", {self._names[name]: array for name, array in feed.items()}) for feed in feeds)

    def runner(self, content: bytes) -> Callable[[Arrays, Arrays], tuple[Arrays, Arrays]]:
        run = Interpreter(model_content=content, num_threads=1).get_signature_runner("step")

        def step(inputs: Arrays, states: Arrays) -> tuple[Arrays, Arrays]:
            outputs = {name: np.array(y) for name, y in run(**inputs, **states).items()}
            return {"y": outputs["y"]}, {name: outputs[name] for name in self.states}

        return step


def stream(count: int, seed: int) -> list[Arrays]:
    rng = np.random.default_rng(seed)
    return [{"x": rng.normal(size=(1, 1, 8)).astype("float32")} for _ in range(count)]


# The mean error over 1,000 steps that each precision may show.
DRIFT = {"float16": 0.002, "int8": 0.02, "int8_full": 0.1, "int16x8": 0.03}


@pytest.mark.parametrize(
    ("kind", "precisions"),
    [
        ("LSTM", ("int8_full",)),
        pytest.param("LSTM", ("float16", "int8"), marks=pytest.mark.slow),
        pytest.param("GRU", ("int8", "int16x8"), marks=pytest.mark.slow),
        pytest.param("LSTM", ("int16x8",), marks=pytest.mark.slow),
        pytest.param("GRU", ("float16", "int8_full"), marks=pytest.mark.slow),
    ],
)
def test_steps_in_fewer_bits_do_not_drift(kind: str, precisions: tuple[str, ...]) -> None:
    case = Case(kind)
    feeds = case.feeds(150)
    for precision in precisions:
        content = case.file(TfliteQuantizer(precision, feeds))
        runtime = Interpreter(model_content=content)
        assert set(runtime.get_signature_list()) == {"step", "reset"}
        for name, value in runtime.get_signature_runner("reset")().items():
            np.testing.assert_array_equal(value, case.start[name])
        report = export.measure_drift(case.exact, case.runner(content), stream(1000, seed=2), case.start)
        assert report.bounded, f"{precision}: {report}"
        assert 0 < report.outputs[0].mean < DRIFT[precision], f"{precision}: {report}"


def test_ports_may_be_integers() -> None:
    """As a microcontroller wants them: states too are handed on as integers."""
    case = Case("GRU")
    content = case.file(TfliteQuantizer("int8_full", case.feeds(50), integer_ports=True))
    run = Interpreter(model_content=content).get_signature_runner("step")
    assert {d["dtype"] for d in [*run.get_input_details().values(), *run.get_output_details().values()]} == {np.int8}


def test_a_loop_among_the_signatures_is_refused() -> None:
    content = _whole()
    with pytest.raises(export.QuantizationError, match=r"cannot calibrate a while loop.*'int8' for the whole sequence"):
        TfliteQuantizer("int16x8").calibrate(content)
    assert TfliteQuantizer("int8").calibrate(content) is content


def _whole() -> bytes:
    x = keras.Input((None, 4), name="x")
    model = keras.Model(x, L.GRU(4)(x))
    return tflite.convert(trace(model, tflite.lowering()), {})
