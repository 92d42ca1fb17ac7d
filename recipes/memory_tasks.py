"""Tasks that only a memory solves, for recurrent networks side by side."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from recipes.errors import UsageError
from recipes.fields import Count, LearningRate, Positive, near_match
from recipes.recipe import Objective, RecipeConfig, Verdict, register_recipe

if TYPE_CHECKING:
    import keras
    import numpy as np

    from recipes.data import Column, Data, Split
    from recipes.memory_series import Made
    from recipes.report import Section

MODELS: dict[str, tuple[str, dict[str, str]]] = {
    "simple_rnn": ("sequence_tagger", {"cell": "simple_rnn"}),
    "lstm": ("sequence_tagger", {"cell": "lstm"}),
    "gru": ("sequence_tagger", {"cell": "gru"}),
    "leaky": ("leaky_rnn", {}),
    "clockwork": ("clockwork_rnn", {}),
    "time_skip": ("time_skip_rnn", {}),
    "ntm": ("neural_turing_machine", {}),
}
"""Short name -> the zoo's, and its arguments."""
LENGTHS = {"adding": 100, "copy": 10, "parity": 20, "waveform": 320}
DATA_SEED = 0
"""The sequences are the task's, not the run's: seeds are compared on the same ones."""
HELD_OUT = 1000
"""Sequences to validate; as many to test."""
SHOWN = 32
"""Test sequences over which the gradient's flow is averaged."""


@register_recipe
@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryTasks(RecipeConfig):
    """Memory tasks: adding, copying, parity, a waveform, by networks that remember in different ways.

    Adding (Hochreiter & Schmidhuber 1997), copying (Graves et al. 2014, arXiv:1410.5401), parity of the bits so far,
    a waveform drawn from memory (Koutnik et al. 2014, arXiv:1402.3511). All sequences are generated.
    """

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"full": {"length": 600, "units": 150, "examples": 50_000}}
    """`full` is the reference's adding problem, of 600 steps and 70,000 parameters; it wants a GPU."""
    REFERENCE: ClassVar = (
        "adding, 600 steps: GRU 5.3e-5, LSTM 0.164, RNN 0.177 (Bai et al. 2018, arXiv:1803.01271); waveform, 800 "
        "parameters: clockwork 1.7e-3, LSTM 8.8e-2 (a repository that repeats Koutnik et al. 2014)"
    )

    epochs: Count = 20
    """Passes over the training data."""
    learning_rate: LearningRate = 5e-3
    """Step size of Adam at the start."""
    clip_norm: Positive | None = 1.0
    """Scale all gradients down together where their joint norm is above this (Pascanu et al. 2013)."""
    task: Literal["adding", "copy", "parity", "waveform"] = "adding"
    """What is to be remembered."""
    model: str = "gru"
    """Who remembers: simple_rnn, leaky, clockwork, time_skip, lstm, gru, ntm, or a model of the zoo of their shape."""
    units: Count = 64
    """Width of the state; of a clockwork network that of each of its modules."""
    length: Count | None = None
    """Steps of the sequence, or patterns to copy; unless given 100 (adding), 10 (copy), 20 (parity), 320 (waveform)."""
    bits: Count = 4
    """Size of a pattern that is copied."""
    examples: Count = 10_000
    """Training sequences; a waveform is one sequence, repeated as often."""

    def load_data(self) -> "Data":
        """Generates the sequences; of a waveform there is but one, which is learned by heart."""
        from recipes.data import Data, Split

        if self._length < 2:
            raise UsageError(f"memory_tasks: length must be at least 2, got {self._length}")
        parts = {}
        for seed, (part, count) in enumerate(
            [("train", self.examples), ("validation", HELD_OUT), ("test", HELD_OUT)], start=DATA_SEED
        ):
            features, answers = self._make(count, seed)
            parts[part] = Split({"features": features}, answers)
        about = {
            "adding": f"two marked numbers among {self._length}, to be added",
            "copy": f"{self._length} patterns of {self.bits} bits, to be said again",
            "parity": f"whether the ones so far are odd, over {self._length} bits",
            "waveform": f"a wave of {self._length} steps, to be drawn from memory",
        }
        return Data(
            **parts,
            summary=f"{self.task}: {about[self.task]}",
            preprocessing={"features": "as generated: numbers and marks, or bits"},
        )

    def build_model(self, data: "Data") -> "keras.Model":
        """Builds a model from `features` (batch, time, features) to `answers` (batch, answers, numbers)."""
        import keras

        tagger = self._build(data)
        count = data.test.targets.shape[1]
        # (batch, time, numbers) -> (batch, answers, numbers): what is said before it is asked does not count
        answers = keras.layers.Identity(dtype="float32", name="answers")(tagger.output[:, -count:])
        return keras.Model(tagger.inputs, answers, name=tagger.name)

    def objective(self) -> Objective:
        """Lowers the squared error of numbers, or the cross-entropy of bits; the best validation epoch is kept."""
        import keras

        if self._is_bits:
            loss = keras.losses.BinaryCrossentropy(from_logits=True)
            return Objective(loss, (keras.metrics.BinaryAccuracy("bit_accuracy", threshold=0.0),), "val_loss", "min")
        return Objective(keras.losses.MeanSquaredError(), (), "val_loss", "min")

    def judge(self, outputs: "Mapping[str, Column]", split: "Split") -> Verdict:
        """Counts the sequences whose bits are all right, or measures the squared error beside that of a constant."""
        import numpy as np

        answers, truth = np.asarray(outputs["answers"]), np.asarray(split.targets)
        shown = (lambda: _beside(split, answers, self._is_bits),)
        if self._is_bits:
            right = (answers > 0) == (truth > 0.5)
            return Verdict(
                {"sequence_accuracy": float(right.all(axis=(1, 2)).mean()), "bit_accuracy": float(right.mean())}, shown
            )
        errors = {"mse": answers - truth, "constant_mse": truth.mean() - truth}
        return Verdict({name: float((error**2).mean()) for name, error in errors.items()}, shown)

    def illustrate(self, model: "keras.Model", data: "Data") -> "tuple[Callable[[], Section], ...]":
        """Shows how much of the gradient reaches each step; of a Turing machine, where it wrote and where it read."""
        example = data.test.inputs["features"][:SHOWN], data.test.targets[:SHOWN]
        name, _ = MODELS.get(self.model, (self.model, {}))
        if name == "neural_turing_machine":
            return (lambda: self._heads(model, data),)
        return (lambda: self._gradients(model, *example),)

    @property
    def _is_bits(self) -> bool:
        return self.task in ("copy", "parity")

    @property
    def _length(self) -> int:
        return LENGTHS[self.task] if self.length is None else self.length

    def _make(self, count: int, seed: int) -> "Made":
        import numpy as np

        from recipes import memory_series

        if self.task == "waveform":
            features, answers = memory_series.waveform(self._length, DATA_SEED)
            # Learned by heart: each part is the same wave, and one of it is enough to judge by.
            times = -(-count // HELD_OUT)
            return np.repeat(features, times, axis=0), np.repeat(answers, times, axis=0)
        if self.task == "copy":
            return memory_series.copy(count, self._length, seed, self.bits)
        return {"adding": memory_series.adding, "parity": memory_series.parity}[self.task](count, self._length, seed)

    def _build(self, data: "Data", **more: Any) -> "keras.Model":
        import zoo
        from recipes import models

        if self.model not in MODELS and self.model not in zoo.list_models():
            names = (*MODELS, *zoo.list_models(shape="many-to-many"))
            raise UsageError(f"memory_tasks: unknown model {self.model!r}{near_match(self.model, names)}")
        name, fields = MODELS.get(self.model, (self.model, {}))
        sizes = {"features": data.test.inputs["features"].shape[-1], "classes": data.test.targets.shape[-1]}
        known = zoo.get_spec(name).fields
        units = {"units": models.suited(name, known["units"], self.units)} if "units" in known else {}
        return models.build(self, name, "sequence_tagger", {**sizes, **fields, **units, **more})

    def _gradients(self, model: "keras.Model", features: "np.ndarray", answers: "np.ndarray") -> "Section":
        from recipes import memory_figures, report
        from zoo.training import state_gradients

        objective = self.objective()
        model.compile("sgd", loss=objective.loss)
        html = memory_figures.gradient_flow(state_gradients(model, features, answers))
        caption = "The norm of the loss's derivative by the state at each step: what is near zero early is not learned."
        return report.Section("Gradient flow over time", html, caption)

    def _heads(self, model: "keras.Model", data: "Data") -> "Section":
        from recipes import memory_figures, report

        twin = self._build(data, return_weights=True)
        twin.set_weights(model.get_weights())
        outputs = twin.predict_on_batch(data.test.inputs["features"][:1])
        html = memory_figures.heads(outputs["write_weights"][0], outputs["read_weights"][0])
        caption = "Which slots of the memory (rows) the heads write and read, step by step, in the first test sequence."
        return report.Section("Memory read and write weights", html, caption)


def _beside(split: "Split", answers: "np.ndarray", bits: bool) -> "Section":
    from recipes import memory_figures, report

    html = memory_figures.answers(split.targets, answers, bits=bits)
    return report.Section("Answers", html, "What was right, and what the model said.")
