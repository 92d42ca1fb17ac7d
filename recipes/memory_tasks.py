"""Tasks that only a memory solves, for recurrent networks side by side."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from recipes.errors import UsageError
from recipes.fields import Count, LearningRate, Positive, Range, near_match
from recipes.recipe import Objective, RecipeConfig, Verdict, register_recipe

if TYPE_CHECKING:
    import keras
    import numpy as np

    from recipes.data import Column, Data, Ragged, Split
    from recipes.memory_series import Asked
    from recipes.report import Section

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "simple_rnn": ("sequence_tagger", {"cell": "simple_rnn"}),
    "lstm": ("sequence_tagger", {"cell": "lstm"}),
    "gru": ("sequence_tagger", {"cell": "gru"}),
    "leaky": ("leaky_rnn", {}),
    "clockwork": ("clockwork_rnn", {}),
    "time_skip": ("time_skip_rnn", {}),
    "ntm": ("neural_turing_machine", {"controller": "feed_forward", "width": 16}),
}
"""Short name -> the zoo's, and its arguments."""
LENGTHS = {"adding": 100, "copy": 20, "parity": 20, "waveform": 320}
DATA_SEED = 0
"""The sequences are the task's, not the run's: seeds are compared on the same ones."""
EXAMPLES, WAVES, HELD_OUT = 10_000, 1000, 1000
"""Sequences to train on unless told otherwise; of the one wave; to validate, and to test at each length."""
SHOWN = 32
"""Test sequences over which the gradient's flow is averaged."""
HEADS = ("write_weights", "read_weights")
"""Outputs of a Turing machine that shows where its heads are."""


@register_recipe
@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryTasks(RecipeConfig):
    """Memory tasks: adding, copying, parity, a waveform, by networks that remember in different ways.

    Adding (Hochreiter & Schmidhuber 1997), copying (Graves et al. 2014, arXiv:1410.5401), parity of the bits so far,
    a waveform drawn from memory (Koutnik et al. 2014, arXiv:1402.3511). All sequences are generated.
    """

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "full": {"length": 600, "parameters": 70_000, "examples": 50_000},
        "adding": {"length": 200, "epochs": 8},
        "copy": {"task": "copy", "batch_size": 4, "epochs": 12, "learning_rate": 1e-3, "xla": True},
        "waveform": {"task": "waveform", "batch_size": 1, "examples": 100, "parameters": 800, "xla": True},
    }
    """`full` is the reference's adding problem, of 600 steps and 70,000 parameters; it wants a GPU. The others are the
    tables of docs/memory_tasks.md."""
    REFERENCES: ClassVar[Mapping[str, str]] = {
        "adding": "600 steps: GRU 5.3e-5, LSTM 0.164, RNN 0.177 (Bai et al. 2018, arXiv:1803.01271)",
        "copy": "a Turing machine perfect at 20, worse from 36 on (repositories that repeat Graves et al. 2014)",
        "waveform": "800 parameters: clockwork 1.7e-3, LSTM 8.8e-2 (a repository that repeats Koutnik et al. 2014)",
    }
    """Task -> what others report."""

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
    """Steps of the sequence, or patterns to copy; unless given 100 (adding), 20 (copy, parity), 320 (waveform)."""
    test_lengths: tuple[Count, ...] | None = None
    """Where copying and parity, learned from 1 to `length`, are judged; unless given there and half as far again."""
    parameters: Annotated[int, Range(10)] | None = None
    """How many weights the model is to have: units are then the number with which it comes nearest."""
    bits: Count = 8
    """Size of a pattern that is copied."""
    examples: Count | None = None
    """Training sequences; unless given 10,000; of a waveform, which is one, that one 1,000 times."""

    @property
    def reference(self) -> str:
        """What others report for the task."""
        return self.REFERENCES.get(self.task, "")

    def idle(self) -> dict[str, str]:
        """The width where the number of weights settles it, and what only some tasks have."""
        idle = {}
        if self.parameters is not None:
            idle["units"] = "beside --parameters, which settles them"
        if self.task != "copy":
            idle["bits"] = f"on {self.task}; they are of copy"
        return idle

    def load_data(self) -> "Data":
        """Generates the sequences; of a waveform there is but one, which is learned by heart."""
        from recipes.data import Data

        if self._length < 2:
            raise UsageError(f"memory_tasks: length must be at least 2, got {self._length}")
        if self.test_lengths and not self._is_bits:
            raise UsageError(f"memory_tasks: test_lengths are of copy and parity; {self.task} has one length")
        many = (WAVES if self._is_wave else EXAMPLES) if self.examples is None else self.examples
        counts = {"train": many, "validation": HELD_OUT, "test": HELD_OUT}
        about = {
            "adding": f"two marked numbers among {self._length}, to be added",
            "copy": f"1 to {self._length} patterns of {self.bits} bits, to be said again",
            "parity": f"whether the ones so far are odd, over 1 to {self._length} bits",
            "waveform": f"a wave of {self._length} steps, to be drawn from memory",
        }
        return Data(
            **{part: self._make(part, count, seed) for seed, (part, count) in enumerate(counts.items(), DATA_SEED)},
            summary=f"{self.task}: {about[self.task]}",
            preprocessing={"features": "as generated: numbers and marks, or bits"},
        )

    def build_model(self, data: "Data") -> "keras.Model":
        """Builds a model from `features` (batch, time, features) to `answers` (batch, answers, numbers or bits)."""
        import keras

        tagger = self._build(data)
        said = tagger.output
        if self.task == "adding":
            # (batch, time, numbers) -> (batch, 1, numbers): what is said before it is asked does not count
            said = said[:, -1:]
        answers = keras.layers.Identity(dtype="float32", name="answers")(said)
        return keras.Model(tagger.inputs, answers, name=tagger.name)

    def objective(self) -> Objective:
        """Lowers the squared error of numbers, or the cross-entropy of bits; the best validation epoch is kept."""
        import keras

        if self._is_bits:
            loss = keras.losses.BinaryCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
            return Objective(loss, (keras.metrics.BinaryAccuracy("bit_accuracy", threshold=0.0),), "val_loss", "min")
        return Objective(keras.losses.MeanSquaredError(), (), "val_loss", "min")

    def judge(self, outputs: "Mapping[str, Column]", split: "Split") -> Verdict:
        """Counts the sequences whose bits are all right, or measures the squared error beside that of a constant."""
        import numpy as np

        from recipes.memory_series import Asked

        said = outputs["answers"]
        if isinstance(split, Asked):
            return Verdict(split.shares_right(said.values > 0), (lambda: _bits(split, said),))
        said, truth = np.asarray(said), np.asarray(split.targets)
        errors = {"mse": said - truth, "constant_mse": truth.mean() - truth}
        metrics = {name: float((error**2).mean()) for name, error in errors.items()}
        return Verdict(metrics, (lambda: _numbers(truth, said),))

    def illustrate(self, model: "keras.Model", data: "Data") -> "tuple[Callable[[], Section], ...]":
        """Shows how much of the gradient reaches each step; of a Turing machine, where it wrote and where it read."""
        name, _ = MODELS.get(self.model, (self.model, {}))
        if name == "neural_turing_machine":
            return (lambda: self._heads(model, data),)
        return (lambda: self._gradients(model, data.test),)

    @property
    def _is_bits(self) -> bool:
        return self.task in ("copy", "parity")

    @property
    def _is_wave(self) -> bool:
        return self.task == "waveform"

    @property
    def _length(self) -> int:
        return LENGTHS[self.task] if self.length is None else self.length

    @property
    def _test_lengths(self) -> tuple[int, ...]:
        return self.test_lengths or (self._length, self._length * 3 // 2)

    def _make(self, part: str, count: int, seed: int) -> "Split":
        import numpy as np

        from recipes import memory_series
        from recipes.data import Split

        if self._is_bits:
            lengths = np.random.default_rng([seed, 0]).integers(1, self._length + 1, count)
            if part == "test":
                lengths = np.repeat(self._test_lengths, count)
            if self.task == "parity":
                return memory_series.parity(lengths, seed)
            return memory_series.copy(lengths, seed, self.bits)
        if self._is_wave:
            # Learned by heart: each part is the same wave, and one of it is enough to judge by.
            made = memory_series.waveform(self._length, DATA_SEED)
            features, answers = (np.repeat(array, count if part == "train" else 1, axis=0) for array in made)
        else:
            features, answers = memory_series.adding(count, self._length, seed)
        return Split({"features": features}, answers)

    def _build(self, data: "Data", **more: Any) -> "keras.Model":
        import numpy as np

        import zoo
        from recipes import models

        if self.model not in MODELS and self.model not in zoo.list_models():
            names = (*MODELS, *zoo.list_models(shape="many-to-many"))
            raise UsageError(f"memory_tasks: unknown model {self.model!r}{near_match(self.model, names)}")
        name, fields = MODELS.get(self.model, (self.model, {}))
        inputs, targets, _ = data.test.batch(np.arange(1))
        task = {"features": inputs["features"].shape[-1], "classes": targets.shape[-1], **fields, **more}
        known = zoo.get_spec(name).fields
        if "periods" in known:
            # Koutnik et al. 2014: 1, 2, 4 ... as far as the sequence goes.
            task["periods"] = tuple(2**octave for octave in range((self._length - 1).bit_length()))
        if name == "neural_turing_machine":
            # Each pattern needs a place; the ring must not close before the last.
            task["slots"] = max(40, 4 * max(self._test_lengths) // 3)

        def build(units: int) -> "keras.Model":
            width = {"units": models.suited(name, known["units"], units)} if "units" in known else {}
            return models.build(self, name, "sequence_tagger", task | width, also=HEADS if more else ())

        if self.parameters is None:
            return build(self.units)
        if "units" not in known:
            raise UsageError(f"memory_tasks: {name} has no units to choose; leave out --parameters")
        return build(_nearest(functools.cache(lambda units: build(units).count_params()), self.parameters))

    def _gradients(self, model: "keras.Model", split: "Split") -> "Section":
        import numpy as np
        from markupsafe import Markup

        from recipes import memory_figures, report
        from zoo.training import state_gradients

        objective = self.objective()
        model.compile("sgd", loss=objective.loss)
        # Those of one length stand together.
        inputs, targets, weights = split.batch(np.arange(min(SHOWN, len(split))))
        title = "Gradient flow over time"
        try:
            gradients = state_gradients(model, inputs["features"], targets, weights)
        except ValueError as error:
            return report.Section(title, Markup("<p>{}</p>").format(str(error)))
        caption = "The norm of the loss's derivative by the state at each step: what is near zero early is not learned."
        return report.Section(title, memory_figures.gradient_flow(gradients), caption)

    def _heads(self, model: "keras.Model", data: "Data") -> "Section":
        import numpy as np

        from recipes import memory_figures, report

        twin = self._build(data, return_weights=True)
        twin.set_weights(model.get_weights())
        # The longest stands last.
        inputs, _, _ = data.test.batch(np.array([len(data.test) - 1]))
        outputs = twin.predict_on_batch(inputs["features"])
        html = memory_figures.heads(*(outputs[name][0] for name in HEADS))
        caption = "Which slots of the memory (rows) the heads write and read, step by step, in the last test sequence."
        return report.Section("Memory read and write weights", html, caption)


def _bits(split: "Asked", said: "Ragged") -> "Section":
    from recipes import memory_figures, report

    asked = split.asked[0] > 0
    html = memory_figures.bits(split.targets[0][asked], said[0][asked])
    return report.Section("Answers", html, "What was right, and what the model said.")


def _numbers(truth: "np.ndarray", said: "np.ndarray") -> "Section":
    from recipes import memory_figures, report

    return report.Section("Answers", memory_figures.numbers(truth, said), "What was right, and what the model said.")


def _nearest(count: Callable[[int], int], wanted: int) -> int:
    """The number of units, at least 1, with which a model comes nearest to so many weights."""
    low, high = 0, 1
    while count(high) < wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < wanted else (low, middle)
    return min((units for units in (low, high) if units), key=lambda units: abs(count(units) - wanted))
