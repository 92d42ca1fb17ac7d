"""What the tests of the registry share: configurations to try, random inputs, stepping."""

import functools
import typing
from typing import Any

import keras
import numpy as np

import zoo
from tests.zoo.tree_inputs import random_tree_inputs
from zoo.specs import DYNAMIC_AXES, ModelSpec, TaskShape

CONTEXT = {"vocabulary": 7, "mask_value": -9.0}
"""Values for optional fields that switch a path on."""


def configurations() -> list[Any]:
    """Every model at its tiny size, and with each mode (a yes/no or a choice, cells aside) changed one at a time."""
    cases = []
    for name in zoo.list_models():
        spec = zoo.get_spec(name)
        cases.append((name, spec.tiny))
        for field in spec.fields.values():
            values = typing.get_args(field.annotation) if typing.get_origin(field.annotation) is typing.Literal else ()
            values = (True, False) if field.annotation is bool else values
            standing = spec.tiny.get(field.name, field.default)
            cases += [(name, {**spec.tiny, field.name: v}) for v in values if field.name != "cell" and v != standing]
        if "vocabulary" in spec.fields and "features" in spec.tiny and not spec.fields["features"].required:
            cases.append((name, {**spec.tiny, "features": None, "vocabulary": CONTEXT["vocabulary"]}))
        if "mask_value" in spec.fields:
            cases.append((name, {**spec.tiny, "mask_value": CONTEXT["mask_value"]}))
    return cases


def cell_configurations() -> list[list[Any]]:
    """Every configuration with every other cell that its `cell=` takes; for each model and cell a list of its own."""
    cases = []
    for name in zoo.list_models():
        field = zoo.get_spec(name).fields.get("cell")
        modes = [fields for other, fields in configurations() if other == name]
        others = [cell for cell in typing.get_args(field.annotation) if cell != field.default] if field else []
        cases += [[(name, {**fields, "cell": cell}) for fields in modes] for cell in others]
    return cases


def one_for_each_cell_and_model(cases: list[list[Any]]) -> list[Any]:
    """Few of them: each model with a cell or two, each cell in a model or two, with padding where it is allowed."""
    names = list(dict.fromkeys(modes[0][0] for modes in cases))
    of_model = {name: [modes for modes in cases if modes[0][0] == name] for name in names}
    return [of_model[name][i % len(of_model[name])][-1] for i, name in enumerate(names)]


def case_id(value: Any) -> str:
    if isinstance(value, str):
        return value
    return ",".join(f"{key}={item}" for key, item in value.items() if key not in ("units", "classes", "features"))


def build(name: str, fields: dict[str, Any], seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return zoo.create_model(name, **fields)


def shared(name: str, fields: dict[str, Any]) -> keras.Model:
    """The same as `build`, made once for all tests, of which none may change it."""
    return _shared(name, tuple(fields.items()))


@functools.cache
def _shared(name: str, fields: tuple[tuple[str, Any], ...]) -> keras.Model:
    return build(name, dict(fields))


def sizes(spec: ModelSpec, fields: dict[str, Any], batch: int, time: int) -> dict[str, int]:
    """A length for every axis."""
    return dict.fromkeys(DYNAMIC_AXES, time) | {"batch": batch} | spec.configure(**fields)


def random_inputs(
    spec: ModelSpec, fields: dict[str, Any], batch: int = 3, time: int = 6, seed: int = 0
) -> dict[str, np.ndarray]:
    """Random values for each input that the configuration has; ids are never 0, which is padding."""
    rng = np.random.default_rng(seed)
    config, axes = spec.configure(**fields), sizes(spec, fields, batch, time)
    if spec.shape is TaskShape.TREE_TO_ONE:
        return random_tree_inputs(config, batch, time, rng)
    inputs = {}
    for name, tensor in spec.inputs.items():
        if tensor.is_present(config):
            shape = tuple(axes[axis] for axis in tensor.axes)
            ids = tensor.below is not None
            drawn = rng.integers(1, axes[tensor.below], shape) if ids else rng.normal(size=shape)
            inputs[name] = drawn.astype(tensor.dtype)
    return inputs


def call(model: keras.Model, inputs: dict[str, np.ndarray], training: bool = False) -> Any:
    """Calls a model with named inputs; one that has a single input takes it bare."""
    return model(next(iter(inputs.values())) if len(inputs) == 1 else inputs, training=training)


def outputs_of(model: keras.Model, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Calls a model outside of training; output name -> array."""
    return named(model, call(model, inputs))


def named(model: keras.Model, result: Any) -> dict[str, np.ndarray]:
    """What a model returned, as output name -> array."""
    if not isinstance(result, dict):
        result = dict(zip(model.output_names, keras.tree.flatten(result), strict=True))
    return {name: keras.ops.convert_to_numpy(value) for name, value in result.items()}


def train(model: keras.Model, inputs: Any, labels: Any, steps: int, sample_weight: Any = None) -> list[float]:
    """Takes steps on the whole batch; the loss before each. `fit` would spend its time between the epochs."""
    losses = []
    for _ in range(steps):
        model.reset_metrics()
        result = model.train_on_batch(inputs, labels, sample_weight=sample_weight)
        losses.append(float(np.ravel(result)[0]))
    return losses


def time_axis(axes: tuple[str, ...]) -> int | None:
    """Where the axis stands whose length each call chooses, the batch aside."""
    # "width" is a tree's, beside its levels, or an image's, which has no time.
    return next((i for i, axis in enumerate(axes) if axis in DYNAMIC_AXES - {"batch", "width"}), None)


def stepper(model: keras.Model, batch: int, timed: set[str]) -> keras.Model:
    """The same model with the same weights, one step a call: recurrent layers keep their states between calls."""

    def keep_states(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        return type(layer).from_config(config | {"stateful": True} if "stateful" in config else config)

    inputs = [
        keras.Input(batch_shape=_step_shape(tensor, batch, timed), dtype=tensor.dtype, name=tensor.name)
        for tensor in model.inputs
    ]
    struct = {tensor.name: tensor for tensor in inputs} if len(inputs) > 1 else inputs[0]
    step = keras.models.clone_model(model, input_tensors=struct, clone_function=keep_states)
    step.set_weights(model.get_weights())
    return step


def _step_shape(tensor: Any, batch: int, timed: set[str]) -> tuple[int | None, ...]:
    return (batch, 1, *tensor.shape[2:]) if tensor.name in timed else (batch, *tensor.shape[1:])
