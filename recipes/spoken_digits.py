"""Spoken digits, heard sample by sample: the front end is part of the model."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from recipes.fields import Cell, Count, Dropout, LearningRate, Positive, Rate, Search, Share
from recipes.recipe import Deployment, Objective, RecipeConfig, Verdict, register_recipe

if TYPE_CHECKING:
    import keras
    import numpy as np

    from recipes.data import Column, Data, Split
    from recipes.report import Section

LABELS = tuple("0123456789")
CHUNK_SECONDS = 0.02
"""What a microphone's driver hands over at a time."""
VALIDATION_TAKES = 10
"""Takes 0 to 4 are the official test part; the next five of each speaker and digit validate."""
CALIBRATION_TAKES = 100
DELAY, GAIN = 800, 6.0
"""In training: samples of silence that may come first, and decibels that a take may be louder or softer."""


@register_recipe
@dataclasses.dataclass(frozen=True, kw_only=True)
class SpokenDigits(RecipeConfig):
    """Spoken digits: hears raw samples at 8 kHz and says which digit it was, all along while they come.

    The data are the 3,000 takes of the Free Spoken Digit Dataset (Jackson 2018, doi:10.5281/zenodo.1342401), with the
    official test part. Six speakers, all of whom are in each part.
    """

    REFERENCE: ClassVar = "LSTM-128 97 %, on a random split of the takes (pages of projects that use the set)"

    epochs: Count = 60
    """Passes over the training data."""
    batch_size: Count = 32
    """Examples in a step of training."""
    learning_rate: LearningRate = 0.01
    """Step size of Adam at the start."""
    clip_norm: Positive | None = 1.0
    """Scale all gradients down together where their joint norm is above this (Pascanu et al. 2013)."""
    model: str = "sequence_tagger"
    """What reads the spectrogram, and answers at each column: any model of the zoo of this one's shape."""
    cell: Cell = "lstm"
    """Kind of recurrent layer."""
    units: Annotated[tuple[Count, ...], Search(values=((64,), (96,), (128,), (64, 64)))] = (96,)
    """Width of each recurrent layer, from the input up."""
    dropout: Dropout = 0.05
    """Share of what each layer reads that is dropped in training."""
    seconds: Positive = 1.2
    """Length that each take is brought to: silence behind the short ones, the long ones cut."""
    frame: Count = 200
    """Samples that one column of the spectrogram sees."""
    hop: Count = 160
    """Samples from one column to the next."""
    bands: Annotated[Count, Search(values=(20, 32, 40))] = 32
    """Bands of the mel spectrogram."""
    speed: Annotated[Rate, Search(0.0, 0.2)] = 0.1
    """In training, each take is read faster or slower by up to this share."""
    noise: Share = 0.1
    """In training, the standard deviation of the loudest white noise, as a share of the take's loudest sample."""
    data_dir: str | None = None
    """Folder with the raw files; unless given TFDS loads them."""

    def load_data(self) -> "Data":
        """Loads the takes: 2,400 to train, 300 to validate, the official 300 to test."""
        import numpy as np

        from recipes import audio, datasets
        from recipes.data import Data, Split
        from recipes.datasets.spoken_digits import SAMPLE_RATE

        splits = datasets.load("spoken_digits", self.data_dir)
        samples = round(self.seconds * SAMPLE_RATE)

        def split(takes: list[dict[str, Any]]) -> Split:
            sound = audio.fixed_length([take["audio"] for take in takes], samples)
            # Asked all along, not only at the end: an error then has fewer steps to travel.
            digits = np.array([take["digit"] for take in takes], "int32")
            return Split({"samples": sound}, np.repeat(digits[:, None], 1 + (samples - self.frame) // self.hop, axis=1))

        return Data(
            train=split([take for take in splits["train"] if take["take"] >= VALIDATION_TAKES]),
            validation=split([take for take in splits["train"] if take["take"] < VALIDATION_TAKES]),
            test=split(splits["test"]),
            summary=f"the Free Spoken Digit Dataset: six speakers, {SAMPLE_RATE:,} samples a second",
            labels=LABELS,
            preprocessing={"samples": f"one channel, {SAMPLE_RATE} samples a second, 16 bits, divided by 32768"},
            metadata={"sample_rate": SAMPLE_RATE},
            augment=self._vary,
        )

    def build_model(self, data: "Data") -> "keras.Model":
        """Builds a model from `samples` (batch, time, 1) to `logits` (batch, columns, 10), by way of a spectrogram."""
        import keras

        from recipes import models

        task = {"features": self.bands, "classes": len(data.labels)}
        classifier = models.build(self, self.model, "sequence_tagger", task)
        # (batch, time, 1) -> (batch, columns, bands) -> (batch, columns, classes)
        samples = keras.Input((None, 1), name="samples")
        log_mel = self._log_mel(data)
        features = self._scaled(log_mel, data)(log_mel(samples))
        logits = keras.layers.Identity(dtype="float32", name="logits")(classifier(features))
        return keras.Model(samples, logits, name="spoken_digits")

    def objective(self) -> Objective:
        """Lowers the cross-entropy; the epoch that has it lowest on the validation part is kept."""
        import keras

        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return Objective(loss, (keras.metrics.SparseCategoricalAccuracy("accuracy"),), "val_loss", "min")

    def judge(self, outputs: "Mapping[str, Column]", split: "Split") -> Verdict:
        """Counts the takes whose highest logit, when all is heard, is their digit's."""
        import numpy as np

        predicted, truth = np.asarray(outputs["logits"])[:, -1].argmax(axis=-1), split.targets[:, -1]

        def confusion() -> "Section":
            from recipes import report

            matrix = np.zeros((len(LABELS), len(LABELS)), dtype=int)
            np.add.at(matrix, (truth, predicted), 1)
            caption = f"The {len(split)} test takes: which digit was said, and which one the model heard."
            return report.Section("Confusion matrix", report.confusion_matrix(matrix, LABELS), caption)

        return Verdict({"accuracy": float((predicted == truth).mean())}, (confusion,))

    def deployments(self, model: "keras.Model", data: "Data") -> tuple[Deployment, ...]:
        """Offers the model for whole takes, as a stream unless it reads ahead, and in two parts for a microcontroller.

        A microcontroller's integers cannot hold a power spectrum, whose loudest value is a million times its softest:
        there the front end stays in float32, and the classifier of its output is in 8 bits.
        """
        import zoo

        deployments = [Deployment(model, precisions=("float32", "int8"))]
        if zoo.get_spec(self.model).streamable:
            deployments.append(self._stream(model, data))
        if self._fits_micro:
            deployments += self._micro(model, data)
        return tuple(deployments)

    def illustrate(self, model: "keras.Model", data: "Data") -> "tuple[Callable[[], Section], ...]":
        """Shows three test takes with what the model thought at each moment."""

        def running() -> "Section":
            import keras
            import numpy as np
            from markupsafe import Markup

            from recipes import audio, report

            rows = np.arange(0, len(data.test), -(-len(data.test) // 3))
            samples, said = data.test.inputs["samples"][rows], data.test.targets[rows, -1]
            spectrograms = front_end(model).predict_on_batch(samples)
            thoughts = keras.ops.convert_to_numpy(keras.ops.softmax(model.predict_on_batch(samples)))
            seconds = self.hop / data.metadata["sample_rate"]
            pictures = [
                audio.running_prediction(*heard, LABELS, hop=seconds, title=f"Said: {LABELS[digit]}")
                for *heard, digit in zip(spectrograms, thoughts, said, strict=True)
            ]
            html = Markup('<div class="panels">{}</div>').format(Markup("").join(pictures))
            caption = "What came in, and the three likeliest digits after each column of it."
            return report.Section("Spectrogram with the running prediction", html, caption)

        return (running,)

    @property
    def _fits_micro(self) -> bool:
        # Only LSTMs have an op of their own there, which takes a whole sequence.
        return self.model == "sequence_tagger" and self.cell == "lstm"

    def _stream(self, model: "keras.Model", data: "Data") -> Deployment:
        rate, test = data.metadata["sample_rate"], data.test
        chunk = round(CHUNK_SECONDS * rate)
        return Deployment(
            model,
            "stream",
            formats=("tflite", "onnx"),
            precisions=("float32", "int8"),
            options={"streaming": True},
            metrics=lambda path: _stream_metrics(path, test, chunk, rate),
            example={"samples": test.inputs["samples"][0, :chunk]},
        )

    def _micro(self, model: "keras.Model", data: "Data") -> list[Deployment]:
        import numpy as np

        front, classifier = front_end(model), model.get_layer(self.model)
        sound = data.train.inputs["samples"]
        rows = np.linspace(0, len(sound) - 1, min(CALIBRATION_TAKES, len(sound)), dtype=int)
        typical = front.predict(sound[rows], verbose=0)
        one_frame = {"samples": data.test.inputs["samples"][:1, : self.frame]}
        micro_front = Deployment(
            front,
            "micro-front-end",
            formats=("tflite",),
            options={"target": "micro", "time": self.frame},
            metrics=lambda path: {},
            example=one_frame,
        )

        def both(path: Path) -> Mapping[str, float]:
            return _two_file_metrics(path.with_name("micro-front-end.tflite"), path, data.test, self.frame, self.hop)

        micro_classifier = Deployment(
            classifier,
            "micro",
            formats=("tflite",),
            precisions=("int8",),
            options={"target": "micro", "time": typical.shape[1], "calibration": {"features": typical}},
            metrics=both,
            example={"features": typical[:1]},
        )
        return [micro_front, micro_classifier]

    def _log_mel(self, data: "Data") -> "keras.layers.Layer":
        from recipes.errors import UsageError
        from zoo.layers import LogMel

        try:
            # Half precision has no room for the power of a loud frame beside that of a soft one.
            return LogMel(
                data.metadata["sample_rate"], self.frame, self.hop, self.bands, dtype="float32", name="log_mel"
            )
        except ValueError as error:
            raise UsageError(f"spoken_digits: {error}") from error

    def _scaled(self, log_mel: "keras.layers.Layer", data: "Data") -> "keras.layers.Layer":
        import keras
        import numpy as np

        sound = data.train.inputs["samples"]
        columns = np.concatenate(
            [keras.ops.convert_to_numpy(log_mel(sound[at : at + 64])) for at in range(0, len(sound), 64)]
        )
        mean, variance = columns.mean(axis=(0, 1)), columns.var(axis=(0, 1))
        return keras.layers.Normalization(
            mean=mean.tolist(), variance=variance.tolist(), dtype="float32", name="normalization"
        )

    def _vary(self, inputs: dict[str, Any], seed: Any) -> dict[str, Any]:
        from recipes import audio

        varied = audio.vary(inputs["samples"], seed, speed=self.speed, delay=DELAY, gain=GAIN, noise=self.noise)
        return {"samples": varied}


def front_end(model: "keras.Model") -> "keras.Model":
    """The part of a trained model from `samples` (batch, time, 1) to the normalised spectrogram."""
    import keras

    return keras.Model(model.input, model.get_layer("normalization").output, name="front_end")


def _stream_metrics(path: Path, test: "Split", chunk: int, rate: int) -> Mapping[str, float]:
    from recipes import audio

    return audio.stream_metrics(path, test.inputs["samples"], test.targets[:, -1], chunk=chunk, rate=rate)


def _two_file_metrics(front: Path, classifier: Path, test: "Split", frame: int, hop: int) -> Mapping[str, float]:
    import numpy as np

    import export

    hear, name = export.load_runtime(front), export.load_runtime(classifier)
    right = 0
    for sound, digit in zip(test.inputs["samples"], test.targets[:, -1], strict=True):
        starts = range(0, len(sound) - frame + 1, hop)
        columns = [_only(hear({"samples": sound[None, at : at + frame]})) for at in starts]
        right += int(_only(name({"features": np.concatenate(columns, axis=1)}))[0, -1].argmax() == digit)
    return {"accuracy": right / len(test)}


def _only(outputs: "Mapping[str, np.ndarray]") -> "np.ndarray":
    (output,) = outputs.values()
    return output
