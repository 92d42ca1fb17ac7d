"""Random recurrent models as users make them, from Keras alone: what every exporter must take."""

import contextlib
import dataclasses
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import keras
import numpy as np

from tests.export import user_cells

L = keras.layers
T = TypeVar("T")
ACTIVATIONS = (
    *("tanh", "sigmoid", "relu", "linear", "hard_sigmoid", "elu", "softsign", "softplus", "leaky_relu", "selu", "silu"),
    *("gelu", "relu6", "mish", "hard_silu", "softmax", "celu", "hard_tanh", "log_sigmoid"),
    *("soft_shrink", "tanh_shrink", "squareplus", "sparse_plus", "sparse_sigmoid"),
)
GATES = ("sigmoid", "hard_sigmoid", "tanh", "softsign", "softmax", "hard_tanh", "sparse_sigmoid")
VOCABULARY = 11


class Chooser(Protocol):
    """Where the choices come from: a seed, or hypothesis."""

    def pick(self, options: Sequence[T]) -> T: ...


class Seeded:
    """Choices from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def pick(self, options: Sequence[T]) -> T:
        return self._random.choice(list(options))


@dataclasses.dataclass(frozen=True)
class Feed:
    """One input: `kind` is float, ids, mask (bool) or float with a padding value."""

    name: str
    shape: tuple[int | None, ...]
    kind: str = "float"
    padding: float | None = None

    @property
    def dtype(self) -> str:
        return {"ids": "int32", "mask": "bool"}.get(self.kind, "float32")


@dataclasses.dataclass(frozen=True)
class Sample:
    """A model, how to feed it, and what was chosen."""

    model: keras.Model
    feeds: tuple[Feed, ...]
    pack: Callable[[list[Any]], Any]
    signature: Any
    traits: dict[str, Any]

    def __call__(self, arrays: dict[str, np.ndarray], training: bool = False) -> Any:
        """Keras's own answer, eagerly."""
        for layer in self.model._flatten_layers():
            if getattr(layer, "stateful", False) and getattr(layer, "states", None) is not None:
                states = keras.tree.flatten(layer.states)
                # Keras's reset_state() fails on stacked cells, and sets zeros where a cell starts from something else.
                starts = keras.tree.flatten(layer.get_initial_state(states[0].shape[0]))
                for state, start in zip(states, starts, strict=True):
                    state.assign(start)
        return self.model(self.pack([arrays[feed.name] for feed in self.feeds]), training=training)


class Builder:
    """Draws layers."""

    def __init__(self, chooser: Chooser) -> None:
        self.pick = chooser.pick
        self.traits: dict[str, Any] = {"layers": []}
        self.static_time = False

    def chance(self, percent: int) -> bool:
        return self.pick(range(100)) >= 100 - percent

    def note(self, what: str) -> None:
        self.traits["layers"].append(what)

    def activations(self, cell: str) -> dict[str, Any]:
        if not self.chance(35):
            return {}
        keys = ["activation"] if cell == "SimpleRNN" else ["activation", "recurrent_activation"]
        # Gates above one make a recurrence explode: chaos, of which no two computations give the same.
        return {key: self.pick(GATES if key.startswith("recurrent") else ACTIVATIONS) for key in keys}

    def cell_options(self, cell: str) -> dict[str, Any]:
        options: dict[str, Any] = {"units": self.pick((1, 2, 3, 5, 40)), **self.activations(cell)}
        if self.chance(25):
            options["use_bias"] = False
        if cell == "GRU" and self.chance(40):
            options["reset_after"] = False
        if self.chance(25):
            options["dropout"] = 0.3
        if self.chance(25):
            options["recurrent_dropout"] = 0.2
        return options

    def recurrent(self, sequences: bool, **extra: Any) -> L.RNN:
        """A built-in layer, stacked cells, or RNN over a cell of the user's own."""
        kind = self.pick(("built-in",) * 5 + ("stacked", "own"))
        options: dict[str, Any] = {"return_sequences": sequences, **extra}
        if "go_backwards" not in extra and self.chance(20):
            options["go_backwards"] = True
        if self.static_time and self.chance(40):
            options["unroll"] = True
        if kind == "built-in":
            name = self.pick(("LSTM", "GRU", "SimpleRNN"))
            options = {**self.cell_options(name), **options}
            self.note(f"{name} {options}")
            return getattr(L, name)(**options)
        if kind == "own":
            cells = [self.cell(own=True)]
        else:
            cells = [self.cell(own=self.chance(30)) for _ in range(self.pick((2, 3)))]
        self.note(f"RNN {[type(c).__name__ for c in cells]} {options}")
        return L.RNN(cells if kind == "stacked" else cells[0], **options)

    def cell(self, own: bool) -> Any:
        if own:
            kind = self.pick(("minimal", "readout", "many", "subclass"))
            units, width = self.pick((2, 3)), self.pick((2, 4))
            return {
                "minimal": lambda: user_cells.MinimalCell(units),
                "readout": lambda: user_cells.ReadoutCell(units, width),
                "many": lambda: user_cells.ManyStatesCell(units, width),
                "subclass": lambda: user_cells.SubclassedLstmCell(units),
            }[kind]()
        name = self.pick(("LSTM", "GRU", "SimpleRNN"))
        return getattr(L, f"{name}Cell")(**self.cell_options(name))

    def bidirectional(self, sequences: bool) -> L.Bidirectional:
        merge = self.pick(("concat", "sum", "ave", "mul"))
        forward = self.recurrent(sequences, go_backwards=False)  # Keras refuses to wrap one that does
        backward = None
        if self.chance(20) and hasattr(forward.cell, "units"):
            backward = L.GRU(forward.cell.units, return_sequences=sequences, go_backwards=True)
        self.note(f"Bidirectional {merge}{' own backward' if backward else ''}")
        return L.Bidirectional(forward, merge_mode=merge, backward_layer=backward)

    def around(self) -> L.Layer:
        """A layer, sequence to sequence, that users put around recurrent ones."""
        kind = self.pick(("dense", "time", "norm", "batch", "causal", "same", "dropout", "activation", "gaussian"))
        self.note(kind)
        return {
            "dense": lambda: L.Dense(3, activation="relu"),
            "time": lambda: L.TimeDistributed(L.Dense(4, activation="tanh")),
            "norm": lambda: L.LayerNormalization(),
            "batch": lambda: L.BatchNormalization(),
            "causal": lambda: L.Conv1D(3, 3, padding="causal", dilation_rate=self.pick((1, 2))),
            "same": lambda: L.Conv1D(4, 2, padding="same", activation="elu"),
            "dropout": lambda: L.SpatialDropout1D(0.2),
            "activation": lambda: L.Activation("swish"),
            "gaussian": lambda: L.GaussianNoise(0.1),
        }[kind]()

    def chain(self, *, end: str | None = None, depth: int = 3) -> list[L.Layer]:
        """Layers one after the other; ends with a vector, or a sequence."""
        end = end or self.pick(("vector", "vector", "sequence", "pool"))
        steps = [
            self.around() if self.chance(45) else self.any_recurrent(sequences=True)
            for _ in range(self.pick(range(depth)))
        ]
        steps.append(self.any_recurrent(sequences=end != "vector"))
        if end == "pool":
            pool = self.pick(("GlobalAveragePooling1D", "GlobalMaxPooling1D"))
            self.note(pool)
            steps.append(getattr(L, pool)())
        elif self.chance(50):
            steps.append(L.Dense(3, name=f"logits_{len(self.traits['layers'])}"))
        return steps

    def any_recurrent(self, sequences: bool) -> L.Layer:
        return self.bidirectional(sequences) if self.chance(35) else self.recurrent(sequences)

    def source(self, name: str = "source") -> tuple[Feed, list[L.Layer]]:
        """-> (an input, the layers that make it a sequence of features, masked or not)."""
        time = 6 if self.static_time else None
        kind = self.pick(("features", "masking", "tokens", "masked tokens"))
        self.note(f"{kind}{' static time' if self.static_time else ''}")
        if kind == "features":
            return Feed(name, (None, time, 4)), []
        if kind == "masking":
            value = self.pick((0.0, -1.0))
            return Feed(name, (None, time, 4), padding=value), [L.Masking(value)]
        masked = kind == "masked tokens"
        embedding = L.Embedding(VOCABULARY, 4, mask_zero=masked)
        return Feed(name, (None, time), "ids", 0.0 if masked else None), [embedding]


@contextlib.contextmanager
def policy(name: str) -> Iterator[None]:
    """Inside, layers are made with this dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def randomise(model: keras.Model, seed: int = 0) -> keras.Model:
    """Random weights, none of them zero, of a size at which gates neither saturate nor sleep."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if not np.issubdtype(
            np.dtype(keras.backend.standardize_dtype(variable.dtype).replace("bfloat", "float")), np.floating
        ):
            continue
        shape, name = tuple(variable.shape), variable.path.rsplit("/", 1)[-1]
        fan_in = int(np.prod(shape[:-1])) if len(shape) > 1 else 4
        value = rng.normal(size=shape) * (1.0 if "embeddings" in name else 0.6 / np.sqrt(fan_in))
        if name in ("gamma", "moving_variance"):
            value = 0.7 + np.abs(value)
        variable.assign(value.astype("float32"))
    return model


def make(chooser: Chooser, form: str | None = None, dtype_policy: str | None = None) -> Sample:
    """A random model with random weights.

    Args:
        chooser: Where the choices come from.
        form: One of `forms.FORMS`; drawn where not given.
        dtype_policy: Replaces the policy that was drawn: the same model in another precision.
    """
    from tests.export.random_forms import FORMS

    builder = Builder(chooser)
    form = form or builder.pick(list(FORMS))
    drawn = builder.pick(("float32",) * 8 + ("mixed_float16", "mixed_bfloat16"))
    builder.static_time = builder.chance(20)
    builder.traits.update(form=form, policy=drawn)
    with policy(dtype_policy or drawn):
        sample = FORMS[form](builder)
    randomise(sample.model, builder.pick(range(1000)))
    return sample
