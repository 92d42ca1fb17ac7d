"""Properties of every registered model, in every mode and with every cell."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import export
import zoo
from tests.zoo.support import (
    CONTEXT,
    build,
    call,
    case_id,
    cell_configurations,
    configurations,
    named,
    one_for_each_cell_and_model,
    outputs_of,
    random_inputs,
    shared,
    sizes,
    stepper,
    time_axis,
)

CELLS = cell_configurations()
CASES = configurations() + one_for_each_cell_and_model(CELLS)
GRID = [case for modes in CELLS for case in modes if case not in CASES]


def marked(keep: Callable[..., bool] = lambda name, fields: True) -> Any:
    """All cases of which something is true; the whole grid of cells is a long one."""
    quick = [case for case in CASES if keep(*case)]
    slow = [pytest.param(*case, marks=pytest.mark.slow) for case in GRID if keep(*case)]
    return pytest.mark.parametrize(("name", "fields"), quick + slow, ids=case_id)


every_case = marked()
TIGHT = {"atol": 1e-6, "rtol": 1e-5}


@every_case
def test_signature_is_as_registered(name: str, fields: dict[str, Any]) -> None:
    spec = zoo.get_spec(name)
    model, config = shared(name, fields), spec.configure(**fields)
    present = {key: tensor for key, tensor in spec.inputs.items() if tensor.is_present(config)}
    assert {tensor.name: tensor.shape for tensor in model.inputs} == {
        key: tensor.shape(config) for key, tensor in present.items()
    }
    assert {tensor.name: tensor.dtype for tensor in model.inputs} == {k: t.dtype for k, t in present.items()}
    expected = {key: tensor for key, tensor in spec.outputs.items() if tensor.is_present(config)}
    assert set(model.output_names) == set(expected)
    for batch, time in ((1, 1), (2, 5)):
        axes = sizes(spec, fields, batch, time)
        for key, value in outputs_of(model, random_inputs(spec, fields, batch, time)).items():
            assert value.shape == tuple(axes[axis] for axis in expected[key].axes)
            assert value.dtype == expected[key].dtype
            assert np.isfinite(value).all()


@every_case
def test_layers_have_names_of_their_own(name: str, fields: dict[str, Any]) -> None:
    first, second = shared(name, fields), build(name, fields)
    assert first.name == name
    # A name that Keras made up counts on, from one model to the next.
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]


@every_case
def test_a_streamable_model_reads_no_future(name: str, fields: dict[str, Any]) -> None:
    spec = zoo.get_spec(name)
    along_time = {key: time_axis(tensor.axes) for key, tensor in spec.outputs.items()}
    if not spec.is_streamable(**fields) or None in along_time.values():
        pytest.skip("not streamable, or one output for the whole sequence: it has no past")
    model = shared(name, fields)
    inputs = random_inputs(spec, fields, seed=1)
    changed = {key: value.copy() for key, value in inputs.items()}
    for key, other in random_inputs(spec, fields, seed=2).items():
        if time_axis(spec.inputs[key].axes) is not None:
            changed[key][:, 4:] = other[:, 4:]
    before, after = outputs_of(model, inputs), outputs_of(model, changed)
    for key, value in before.items():
        np.testing.assert_allclose(after[key][:, :4], value[:, :4], **TIGHT)
    assert not all(np.allclose(before[key][:, 4:], after[key][:, 4:], **TIGHT) for key in before)


# Keras's own stateful layers keep no clock, no given label and no context of before the first step; `export` does.
KEPT_BY_EXPORT = {"clockwork_rnn", "conditional_rnn", "image_captioner", "vector_to_sequence"}


@every_case
def test_streamable_says_whether_step_by_step_equals_whole(name: str, fields: dict[str, Any]) -> None:
    spec = zoo.get_spec(name)
    model = shared(name, fields)
    # Many rows: whole numbers, such as a best path, differ in a few of them only.
    inputs = random_inputs(spec, fields, batch=64, time=6)
    timed = {key for key in inputs if time_axis(spec.inputs[key].axes) is not None}
    step, whole = stepper(model, batch=64, timed=timed), outputs_of(model, inputs)
    steps = [
        outputs_of(step, {key: value[:, t : t + 1] if key in timed else value for key, value in inputs.items()})
        for t in range(6)
    ]
    same = []
    for key, value in whole.items():
        axis, parts = time_axis(spec.outputs[key].axes), [part[key] for part in steps]
        got = parts[-1] if axis is None else np.concatenate(parts, axis=axis)
        same.append(np.allclose(got, value, **TIGHT))
    if name not in KEPT_BY_EXPORT or not spec.is_streamable(**fields):
        assert all(same) == spec.is_streamable(**fields)


@pytest.mark.slow
@every_case
def test_streamable_says_whether_it_becomes_a_step_model(name: str, fields: dict[str, Any]) -> None:
    spec, model = zoo.get_spec(name), shared(name, fields)
    if not spec.is_streamable(**fields):
        with pytest.raises(export.NotCausalError, match="can't be streamed: "):
            export.to_streaming(model)
        return
    step, inputs = export.to_streaming(model), random_inputs(spec, fields, time=6)
    timed = {key for key in inputs if time_axis(spec.inputs[key].axes) is not None}
    states, steps = step.initial_states(len(next(iter(inputs.values())))), []
    for t in range(6):
        now = {key: value[:, t : t + 1] if key in timed else value for key, value in inputs.items()}
        outputs, states = step(now if len(now) > 1 else next(iter(now.values())), states)
        steps.append(named(model, outputs))
    for key, value in outputs_of(model, inputs).items():
        axis, parts = time_axis(spec.outputs[key].axes), [part[key] for part in steps]
        got = parts[-1] if axis is None else np.concatenate(parts, axis=axis)
        np.testing.assert_allclose(got, value, **TIGHT)


def _can_be_padded(name: str, fields: dict[str, Any]) -> bool:
    spec = zoo.get_spec(name)
    config = spec.configure(**fields)
    present = [tensor for tensor in spec.inputs.values() if tensor.is_present(config)]
    return config.get("mask_value") is not None or any(tensor.below == "vocabulary" for tensor in present)


# A clock goes on over padding, and the nodes of a tree are numbered.
RIGHT_ONLY = {"clockwork_rnn", "tree_rnn", "tree_lstm"}


@marked(_can_be_padded)
def test_padding_changes_nothing_on_either_side(name: str, fields: dict[str, Any]) -> None:
    spec = zoo.get_spec(name)
    model, inputs = shared(name, fields), random_inputs(spec, fields, batch=3, time=5)
    before = outputs_of(model, inputs)
    for left in (0,) if name in RIGHT_ONLY else (0, 3):
        padded = {}
        for key, value in inputs.items():
            fill, axis = 0 if spec.inputs[key].below else CONTEXT["mask_value"], time_axis(spec.inputs[key].axes)
            widths = [(left, 3 - left) if i == axis else (0, 0) for i in range(value.ndim)]
            padded[key] = np.pad(value, widths, constant_values=fill)
        for key, got in outputs_of(model, padded).items():
            wanted = before[key]
            # Every axis that padding made longer: of attention, there are two.
            cut = tuple(
                slice(left, left + 5) if a > b else slice(None) for a, b in zip(got.shape, wanted.shape, strict=True)
            )
            np.testing.assert_allclose(got[cut], wanted, **TIGHT, err_msg=f"{key}, {left} steps on the left")


def some_loss(model: keras.Model, outputs: Any) -> Any:
    """A random sum of the outputs, or the model's own loss, on random labels, where it has one."""
    rng = np.random.default_rng(0)
    if type(model).compute_loss is not keras.Model.compute_loss:
        labels = rng.integers(0, outputs["logits"].shape[-1], outputs["logits"].shape[:-1])
        return model.compute_loss(y=labels, y_pred=outputs)
    values = [value for value in keras.tree.flatten(outputs) if "float" in keras.backend.standardize_dtype(value.dtype)]
    return sum(keras.ops.sum(value * rng.normal(size=value.shape).astype("float32")) for value in values)


@every_case
def test_every_weight_gets_a_gradient(name: str, fields: dict[str, Any]) -> None:
    model, spec = shared(name, fields), zoo.get_spec(name)
    inputs = random_inputs(spec, fields, batch=4, time=6)
    with tf.GradientTape() as tape:
        loss = some_loss(model, call(model, inputs, training=True))
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_weights])
    assert gradients, "nothing to train"
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        assert gradient is not None, weight.path
        values = tf.convert_to_tensor(gradient).numpy()
        assert np.isfinite(values).all(), weight.path
        assert np.abs(values).max() > 0, weight.path


@every_case
def test_mixed_precision_gives_finite_float32_scores(name: str, fields: dict[str, Any]) -> None:
    spec = zoo.get_spec(name)
    full = shared(name, fields)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = build(name, fields)
    finally:
        keras.config.set_dtype_policy(before)
    half.set_weights(full.get_weights())
    inputs = random_inputs(spec, fields)
    wanted, got = outputs_of(full, inputs), outputs_of(half, inputs)
    for key, value in got.items():
        assert value.dtype == spec.outputs[key].dtype
        assert np.isfinite(value).all()
        # float16 carries 11 bits; a few roundings a step over six steps. A choice that comes back may turn on one bit.
        if all(np.issubdtype(output.dtype, np.floating) for output in got.values()):
            near = np.isclose(value, wanted[key], atol=5e-3, rtol=5e-3)
            # A layer norm divides a rounding by how much three units differ, which may be next to nothing.
            assert near.mean() > 0.8 if fields.get("cell") == "lstm_layer_norm" else near.all()
    assert {weight.dtype for weight in half.trainable_weights} == {"float32"}


LOAD = """
import json, sys
import numpy as np
import keras
import zoo
for folder in json.load(sys.stdin):
    model = keras.saving.load_model(folder + "/model.keras")
    inputs = dict(np.load(folder + "/inputs.npz"))
    result = model(inputs if len(inputs) > 1 else list(inputs.values())[0], training=False)
    np.savez(folder + "/loaded.npz", *keras.tree.flatten(result))
"""


@pytest.mark.parametrize(
    "cases",
    [CASES[::8], *(pytest.param(cases, marks=pytest.mark.slow) for cases in (CASES, GRID))],
    ids=["every eighth", "modes", "all cells"],
)
def test_a_fresh_process_loads_the_same_models(cases: list[Any], tmp_path: Path) -> None:
    """All saved here, and loaded and called in one fresh process."""
    for i, (name, fields) in enumerate(cases):
        folder, model, inputs = tmp_path / str(i), shared(name, fields), random_inputs(zoo.get_spec(name), fields)
        folder.mkdir()
        model.save(folder / "model.keras")
        np.savez(folder / "inputs.npz", **inputs)
        np.savez(folder / "saved.npz", *keras.tree.flatten(call(model, inputs)))
    folders = json.dumps([str(tmp_path / str(i)) for i in range(len(cases))])
    subprocess.run([sys.executable, "-c", LOAD], input=folders, text=True, check=True)
    for i, case in enumerate(cases):
        saved, loaded = (np.load(tmp_path / str(i) / f"{file}.npz") for file in ("saved", "loaded"))
        assert saved.files == loaded.files, case
        for key in saved.files:
            np.testing.assert_array_equal(loaded[key], saved[key], err_msg=str(case))
