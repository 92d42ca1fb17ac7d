"""Writing with a trained Keras model, token by token: each can be read as soon as it is drawn."""

import difflib
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from recipes.errors import RecipeError, UsageError
from recipes.fields import near_match
from recipes.files import read_json
from recipes.loading import load_model
from recipes.recipe import recipe_name
from recipes.run_folder import RunFolder, stored_recipe
from recipes.vocabulary import NEVER_WRITTEN
from zoo.decoding import draw_token
from zoo.randomness import uniform
from zoo.stepping import Stepper
from zoo.tokens import IMPOSSIBLE, filled, log_probabilities

DEFAULT_TOKENS = 500
"""How many tokens are written where nobody says how many, and no end comes before."""
SOURCE = "encoder_token_ids"
GLUE = {"characters": "", "words": " "}
PADDING = 0


class Token(NamedTuple):
    """One token that was written.

    Attributes:
        token_id: Its place in the vocabulary.
        text: What it adds to the text; nothing if it is the end.
        log_probability: The model's own log p among the tokens that text can have, not as tempered.
    """

    token_id: int
    text: str
    log_probability: float


class Writer:
    """Writes text with a model that scores the next token.

    The same seed draws the tokens that `zoo.generation.generator` draws, and every file that was exported from it.
    """

    def __init__(self, model: keras.Model, metadata: Mapping[str, Any], name: str = "the model") -> None:
        """Takes the model apart.

        Args:
            model: Trained, with an input for tokens and logits for the whole vocabulary.
            metadata: `vocabulary`, `tokenisation` and so on, as an exported file holds them: docs/generation.md.
            name: Whose model it is, for errors.

        Raises:
            UsageError: The model writes no text.
        """
        self._name, self._info = name, metadata
        vocabulary = metadata.get("vocabulary")
        if not vocabulary or metadata.get("tokenisation") not in GLUE:
            raise UsageError(f"{name} writes no text: it has no vocabulary of tokens to write")
        try:
            self._step = Stepper(model, metadata.get(NEVER_WRITTEN, ()))
        except ValueError as error:
            raise UsageError(f"{name} writes no text: {error}") from error
        scores = model.outputs[list(model.output_names).index("logits")].shape[-1]
        if scores != len(vocabulary):
            raise UsageError(f"{name} writes no text: it scores {scores} classes, not the next token")
        self._tokens = list(vocabulary)
        self._ids = {token: place for place, token in enumerate(vocabulary)}
        source = metadata.get("source_vocabulary", vocabulary)
        self._source_ids = {token: place for place, token in enumerate(source)}
        self._others = {tensor.name: tensor for tensor in model.inputs if tensor.name != self._step.token_input}
        self._advance = _compiled(self._step)

    def __call__(self, prompt: str | None = None, **options: Any) -> str:
        """Writes a whole text; see `tokens`."""
        return "".join(token.text for token in self.tokens(prompt, **options))

    def tokens(
        self,
        prompt: str | None = None,
        *,
        seed: int = 0,
        temperature: float | None = None,
        max_tokens: int | None = None,
        inputs: Mapping[str, np.ndarray] | None = None,
        label: str | None = None,
    ) -> Iterator[Token]:
        """Writes, and gives each token as it is drawn.

        Args:
            prompt: The text to go on from; what is translated, where the model reads a source.
            seed: Where tokens are drawn.
            temperature: Divides the logits; 0 takes the likeliest token. None: 1, or 0 where the model reads a source.
            max_tokens: How many tokens to write at most; None: `DEFAULT_TOKENS`.
            inputs: What the model reads besides, by name, without batch axis or with it.
            label: Which of the data's labels to write for, where the model reads a vector with a place for each.

        Yields:
            The tokens, the end included.

        Raises:
            RecipeError: A token that the vocabulary lacks, no prompt where one is needed, an input that is missing.
        """
        if temperature is None:
            temperature = 0.0 if SOURCE in self._others else 1.0
        token_ids, states = self._begin(prompt, {**self._labelled(label), **(inputs or {})})
        controls = np.array([seed], "int32"), np.array([temperature], "float32")
        for token in token_ids[:-1]:
            _, _, states = self._advance(np.array([token], "int32"), states, np.int32(0), *controls)
        last = np.array(token_ids[-1:], "int32")
        for place in range(DEFAULT_TOKENS if max_tokens is None else max_tokens):
            last, gain, states = self._advance(last, states, np.int32(place), *controls)
            token = int(last[0])
            ends = token == self._info.get("end_id")
            glue = GLUE[self._info["tokenisation"]] if place else ""
            yield Token(token, "" if ends else glue + self._tokens[token], float(gain[0]))
            if ends:
                return

    def read_prompt(self, text: str) -> np.ndarray:
        """Turns a prompt into ids: (1, time), behind the start where there is one."""
        return np.array([self._after_start(self._looked_up(text, self._ids))], "int32")

    def _labelled(self, label: str | None) -> dict[str, np.ndarray]:
        if label is None:
            return {}
        labels = self._info.get("labels") or []
        takes = [name for name, tensor in self._others.items() if tuple(tensor.shape) == (None, len(labels))]
        if not takes:
            raise UsageError(f"{self._name} reads no label; leave out --label")
        if label not in labels:
            raise UsageError(f"{self._name} has no label {label!r}{near_match(label, labels)}")
        return {takes[0]: np.eye(len(labels), dtype="float32")[labels.index(label)]}

    def _begin(self, prompt: str | None, inputs: dict[str, Any]) -> tuple[list[int], Any]:
        if SOURCE in self._others and SOURCE not in inputs:
            if not prompt:
                raise UsageError(f"{self._name} needs a text to read: --prompt TEXT")
            inputs[SOURCE] = np.array(self._looked_up(prompt, self._source_ids), "int32")
            prompt = None
        if missing := [name for name in self._others if name not in inputs]:
            how = "give its label with --label, or the array" if self._info.get("labels") else "give it"
            raise UsageError(f"{self._name} also reads {missing[0]!r}: {how} in an .npz file, --inputs FILE")
        if strange := [name for name in inputs if name not in self._others]:
            known = ", ".join(map(repr, self._others)) or "none but tokens"
            raise UsageError(f"{self._name} has no input {strange[0]!r}; it has {known}")
        given = {name: _one_row(self._name, self._others[name], value) for name, value in inputs.items()}
        token_ids = self._after_start(self._looked_up(prompt or "", self._ids))
        if not token_ids:
            raise UsageError(f"{self._name} needs a text to go on from, of one token at least: --prompt TEXT")
        return token_ids, self._step.start(given, batch_size=1)

    def _after_start(self, token_ids: list[int]) -> list[int]:
        start = self._info.get("start_id")
        return token_ids if start is None else [start, *token_ids]

    def _looked_up(self, text: str, known: Mapping[str, int]) -> list[int]:
        cut = text.split() if self._info["tokenisation"] == "words" else list(text)
        unknown = self._info.get("unknown_id")
        strange = [token for token in dict.fromkeys(cut) if token not in known]
        if strange and unknown is None:
            near = difflib.get_close_matches(strange[0], known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it knows {len(known)} tokens"
            raise UsageError(f"{self._name} has never seen {', '.join(map(repr, strange))}{hint}")
        return [known.get(token, unknown) for token in cut]


def writer_of_run(folder: Path) -> Writer:
    """Loads the model of a finished run, with the vocabulary that it was trained with.

    Args:
        folder: The run's folder.

    Returns:
        What writes with it.

    Raises:
        RecipeError: It is no run's folder, the run is not finished, or its recipe writes no text.
    """
    recipe, run = stored_recipe(folder), RunFolder(folder)
    manifest = run.exports / "manifest.json"
    for path in (run.model, manifest):
        if not path.exists():
            command = shlex.join(["seqzoo", "run", recipe_name(type(recipe)), "--out", str(folder), "--resume"])
            raise RecipeError(f"the run in {folder} is not finished, it has no {path.name}; go on with: {command}")
    entries = read_json(manifest).get("artifacts", {}).values()
    # What a file tells of its tokens, each of the run's files tells.
    metadata = next((entry for entry in entries if "tokenisation" in entry), {})
    name = f"the {recipe_name(type(recipe))} model in {folder}"
    if not metadata:
        raise UsageError(f"{name} writes no text: {recipe_name(type(recipe))} is no recipe that generates")
    return Writer(load_model(run.model), metadata, name)


def _one_row(owner: str, tensor: Any, value: Any) -> np.ndarray:
    array = np.asarray(value, tensor.dtype)
    array = array if array.ndim == len(tensor.shape) else array[np.newaxis]
    fits = array.ndim == len(tensor.shape) and all(
        size in (None, given) for size, given in zip(tensor.shape[1:], array.shape[1:], strict=True)
    )
    if not fits or len(array) != 1:
        raise UsageError(f"{owner}: input {tensor.name!r} has the shape {tensor.shape[1:]}, got {array.shape}")
    return array


def _compiled(step: Stepper) -> Any:
    import tensorflow as tf

    @tf.function(reduce_retracing=True, autograph=False)
    def advance(token: Any, states: Any, place: Any, seed: Any, temperature: Any) -> tuple[Any, Any, Any]:
        logits, states = step(token, states)
        scores = log_probabilities(logits)
        allowed = scores + IMPOSSIBLE * filled(scores, PADDING)
        drawn = draw_token(allowed / tf.where(temperature > 0, temperature, 1.0)[:, None], uniform(seed, place))
        token = tf.where(temperature > 0, drawn, tf.argmax(allowed, axis=-1, output_type=tf.int32))
        return token, tf.reduce_sum(scores * filled(scores, token), axis=-1), states

    return advance
