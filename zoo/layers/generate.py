from collections.abc import Collection
from typing import Any, Literal, get_args

import keras
from keras import ops

from zoo.decoding import beam_search, greedy, prime, sample
from zoo.stepping import Stepper

Way = Literal["greedy", "beam", "sample"]
"""How the next token is chosen."""
OPTIONS: dict[Way, tuple[str, ...]] = {
    "greedy": (),
    "beam": ("beam_width", "n_best", "length_penalty", "early_stop"),
    "sample": ("temperature", "top_k", "top_p"),
}

CONTROLS = {"seed": "seed", "temperature": "temperature", "max_tokens": "limits"}
"""Inputs that steer the writing -> the arguments of `zoo.decoding`."""
# In ONNX an output can't be called as an input is.
OUTPUT_NAMES = {"token_ids": "generated_ids", "seed": "next_seed"}


@keras.saving.register_keras_serializable(package="seqzoo")
class Generate(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Runs a model and a way of decoding as one layer: from what the model is given to what it writes.

    Called with a dictionary of the model's inputs. Where a start token is set, the input for tokens is left out;
    otherwise it holds prompts (batch, time), padded on either side. To sample, `seed` (batch,) is an input too, and
    so is `temperature` (batch,) where the settings have none. `max_tokens` (batch,) may be given: fewer tokens than
    max_length for some rows.
    It gives a dictionary of what `zoo.decoding` returns, `token_ids` as `generated_ids`, `seed` as `next_seed`.
    """

    def __init__(
        self,
        model: Any,
        way: Way,
        max_length: int,
        start_id: int | None = None,
        end_id: int | None = None,
        settings: dict[str, Any] | None = None,
        forbidden: Collection[int] = (),
        **options: Any,
    ) -> None:
        """Makes the layer.

        Args:
            model: A trained model, see `zoo.decoding.Stepper`; its weights are shared.
            way: `"greedy"`, `"beam"` or `"sample"`.
            max_length: How many tokens to write at most.
            start_id: The token that each row starts from; None: rows start from prompts.
            end_id: The token after which a row has ended.
            settings: Further arguments of `zoo.decoding.beam_search` or `zoo.decoding.sample`.
            forbidden: Tokens that are never written, beside the padding.
            **options: Further arguments of `keras.layers.Layer`.

        Raises:
            ValueError: There is no such way, or the way has no such setting.
        """
        super().__init__(**options)
        if way not in get_args(Way):
            raise ValueError(f"way must be 'greedy', 'beam' or 'sample', got {way!r}")
        self.settings = dict(settings or {})
        if unknown := sorted(set(self.settings) - set(OPTIONS[way])):
            takes = ", ".join(OPTIONS[way]) or "no settings"
            raise ValueError(f"{way} has no setting {unknown[0]!r}; it takes {takes}")
        self.model = keras.saving.deserialize_keras_object(model) if isinstance(model, dict) else model
        self.way = way
        self.max_length = max_length
        self.start_id = start_id
        self.end_id = end_id
        self.forbidden = tuple(forbidden)
        self.stepper = Stepper(self.model, self.forbidden)

    def call(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Writes a sequence for each row."""
        step, rest = self.stepper, dict(inputs)
        given = {name: rest.pop(name) for name in CONTROLS if name in rest}
        prompt = rest.pop(step.token_input, None)
        rows = ops.shape(next(iter(inputs.values())))[0]
        states = step.start(rest, batch_size=rows)
        if self.start_id is None:
            token, states = prime(step, prompt, states)
        else:
            token = ops.full((rows,), self.start_id, dtype="int32")
        limits = {"max_length": self.max_length, "end_id": self.end_id, **self.settings}
        limits |= {CONTROLS[name]: value for name, value in given.items()}
        decode: Any = {"greedy": greedy, "beam": beam_search, "sample": sample}[self.way]
        found = decode(step, token, states, **limits)._asdict()
        return {OUTPUT_NAMES.get(name, name): value for name, value in found.items()}

    def compute_output_spec(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Gives the form of what is written."""
        rows: tuple[int | None, ...] = (next(iter(inputs.values())).shape[0],)
        each = (*rows, self.settings.get("n_best", 1)) if self.way == "beam" else rows
        outputs = {
            "generated_ids": keras.KerasTensor((*each, self.max_length), dtype="int32"),
            "lengths": keras.KerasTensor(each, dtype="int32"),
            "log_probabilities": keras.KerasTensor(each, dtype="float32"),
        }
        extra = {"greedy": {}, "beam": {"scores": "float32"}, "sample": {"next_seed": "int32"}}[self.way]
        return outputs | {name: keras.KerasTensor(each, dtype=dtype) for name, dtype in extra.items()}

    def get_config(self) -> dict[str, Any]:
        """Gives the constructor's arguments, the model among them."""
        own = {
            name: getattr(self, name) for name in ("way", "max_length", "start_id", "end_id", "settings", "forbidden")
        }
        return {**super().get_config(), **own, "model": keras.saving.serialize_keras_object(self.model)}
